"""Components: what a recipe chooses by name, each with options of its own.

A component is a name, a class, and the class of its options. Both are named as "module:Class" and
imported only when the component is used, so that a configuration can be checked without the
libraries that a stage needs. The tables below list what is built in; a file or module named under
``extensions`` in a configuration adds to them with :meth:`Kind.register`, and nothing else needs to
know.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from brainflix.errors import ConfigError

T = TypeVar("T")


def attribute(address: str) -> Any:
    """Import "module:Class" and return the class."""
    module, _, name = address.partition(":")
    return getattr(importlib.import_module(module), name)


def nearest(name: str, known: Mapping[str, Any] | list[str]) -> str:
    """Return " (did you mean X?)" for the known name nearest to ``name``, or nothing."""
    close = difflib.get_close_matches(str(name), [*known], n=1)
    return f"; did you mean {close[0]}?" if close else ""


class Kind(Generic[T]):
    """The components of one kind by name.

    Parameters
    ----------
    kind : str
        What the entries are, for error messages: "study reader", "metric", ...
    table : mapping of str to str or (str, str)
        Name to "module:Class" of the component, and of its options where these lie in a module
        that is cheaper to import. Otherwise the component's attribute ``Options`` is taken.
    """

    def __init__(self, kind: str, table: Mapping[str, str | tuple[str, str]] | None = None) -> None:
        self.kind = kind
        self._table = dict(table or {})
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that enters a component under ``name``."""

        def enter(component: T) -> T:
            if name in self and not self._same(name, component):
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._entries[name] = component
            return component

        return enter

    def _same(self, name: str, component: T) -> bool:
        """Tell whether a component is the one that is known by this name, perhaps read again."""
        entry = self._table.get(name)
        place = f"{getattr(component, '__module__', '')}:{getattr(component, '__qualname__', '')}"
        if entry is not None:
            return place == (entry if isinstance(entry, str) else entry[0])
        known = self._entries[name]
        return (
            place == f"{getattr(known, '__module__', None)}:{getattr(known, '__qualname__', None)}"
        )

    def check(self, name: str, where: str | None = None) -> str:
        """Return ``name`` if there is such a component.

        Raises
        ------
        ConfigError
            With the names that exist and the nearest one.
        """
        if name not in self:
            known = ", ".join(sorted(self))
            raise ConfigError(
                f"unknown {self.kind} {name!r}",
                expected=f"one of {known}{nearest(name, [*self])}"
                if known
                else f"a {self.kind} that a module under `extensions` registers",
                where=where,
            )
        return name

    def __getitem__(self, name: str) -> T:
        self.check(name)
        if name not in self._entries:
            entry = self._table[name]
            self._entries[name] = attribute(entry if isinstance(entry, str) else entry[0])
        return self._entries[name]

    def options(self, name: str) -> Any:
        """Return the class of a component's options."""
        entry = self._table.get(self.check(name))
        if isinstance(entry, tuple):
            return attribute(entry[1])
        return self[name].Options  # type: ignore[attr-defined]

    def module(self, name: str) -> str:
        """Return the name of the module that holds a component; ours are not imported for it."""
        entry = self._table.get(self.check(name))
        if entry is None:
            return str(getattr(self._entries[name], "__module__", ""))
        return (entry if isinstance(entry, str) else entry[0]).partition(":")[0]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._table, **self._entries})

    def __contains__(self, name: object) -> bool:
        return name in self._table or name in self._entries


_EXTENSIONS: dict[str, str] = {}


def load_extension(name: str) -> None:
    """Import a module, or a Python file, that registers components.

    Parameters
    ----------
    name : str
        "package.module", or the path of a ``.py`` file.

    Raises
    ------
    ConfigError
        When there is none, or importing it fails.
    """
    if name in _EXTENSIONS:
        return
    try:
        if name.endswith(".py"):
            path = Path(name)
            if not path.is_file():
                raise FileNotFoundError(f"no file {path}")
            module = f"brainflix_extension_{path.stem}"
            spec = importlib.util.spec_from_file_location(module, path)
            assert spec is not None
            assert spec.loader is not None
            loaded = importlib.util.module_from_spec(spec)
            sys.modules[module] = loaded
            spec.loader.exec_module(loaded)
        else:
            module = importlib.import_module(name).__name__
    except Exception as error:
        raise ConfigError(
            f"the extension {name} cannot be imported",
            expected="a module or a .py file that registers components",
            found=f"{type(error).__name__}: {error}",
            where="extensions",
        ) from error
    _EXTENSIONS[name] = module


_PUBLISHED = "brainflix.studies.published"

READERS: Kind[Any] = Kind(
    "study reader",
    {
        "arrays": "brainflix.studies.estimates.arrays:ArrayStudy",
        "bids": "brainflix.studies.bids.study:BidsStudy",
        "bold_moments": f"{_PUBLISHED}.bold_moments.study:BoldMoments",
        "bold5000": f"{_PUBLISHED}.bold5000:Bold5000Study",
        "cc2017": f"{_PUBLISHED}.cc2017.study:Cc2017",
        "had": f"{_PUBLISHED}.had.study:Had",
        "glmsingle": "brainflix.studies.estimates.glmsingle:GlmSingleStudy",
        "god": f"{_PUBLISHED}.god:GodStudy",
        "mosaic": f"{_PUBLISHED}.mosaic:MosaicStudy",
    },
)
"""How a study lies on disk. A class of :class:`brainflix.studies.study.Study`."""

ENCODERS: Kind[Any] = Kind(
    "encoder",
    {
        "clip_image": "brainflix.targets.encoders:ClipImage",
        "clip_text": "brainflix.targets.encoders:ClipText",
        "text_conditioning": "brainflix.targets.encoders:TextConditioning",
        "video_latents": "brainflix.targets.encoders:VideoLatents",
        "captions": "brainflix.targets.encoders:CaptionTokens",
    },
)
"""What is computed from a clip. A class of :class:`brainflix.targets.encoders.Encoder`."""

PRETRAININGS: Kind[Any] = Kind("pretraining")
"""What is learnt from runs without stimuli. A class of
:class:`brainflix.pretraining.component.Pretraining`."""

FINETUNINGS: Kind[Any] = Kind("finetuning")
"""Models that are trained further on training clips. A class of
:class:`brainflix.finetuning.component.Finetuning`."""

BRAIN_ENCODERS: Kind[Any] = Kind(
    "brain encoder",
    {
        "ridge": (
            "brainflix.alignment.linear_heads:LinearHeads",
            "brainflix.alignment.options:RidgeHeadsOptions",
        ),
        "gradient": (
            "brainflix.alignment.linear_heads:LinearHeads",
            "brainflix.alignment.options:GradientHeadsOptions",
        ),
    },
)
"""From responses to a space that subjects share. A class of
:class:`brainflix.alignment.encoder.BrainEncoder`."""

REGRESSORS: Kind[Any] = Kind(
    "regressor",
    {
        "residual_mlp": (
            "brainflix.regression.network:ResidualNetwork",
            "brainflix.regression.options:ResidualNetworkOptions",
        ),
    },
)
"""From the shared space, or from responses, to targets. A class of
:class:`brainflix.regression.regressor.Regressor`."""

LOSSES: Kind[Any] = Kind(
    "loss",
    {
        "mse": (
            "brainflix.learning.losses:squared_error",
            "brainflix.learning.options:LossOptions",
        ),
        "contrastive": (
            "brainflix.learning.losses:contrastive",
            "brainflix.learning.options:ContrastiveOptions",
        ),
        "soft_clip": (
            "brainflix.learning.contrastive:soft_clip_of_scores",
            "brainflix.learning.options:SoftClipOptions",
        ),
    },
)
"""What a target head is trained on: a function of predicted scores, true scores, the clip of each
row, and options."""

_PRIOR = "brainflix.prior"

PRIORS: Kind[Any] = Kind(
    "prior",
    {
        "none": (f"{_PRIOR}.direct:NoPrior", f"{_PRIOR}.options:NoPriorOptions"),
        "length": (f"{_PRIOR}.direct:Length", f"{_PRIOR}.options:LengthOptions"),
        "empirical_bayes": (
            f"{_PRIOR}.empirical_bayes:EmpiricalBayes",
            f"{_PRIOR}.options:EmpiricalBayesOptions",
        ),
        "captions": (f"{_PRIOR}.captions:Captions", f"{_PRIOR}.options:CaptionsOptions"),
        "denoiser": (f"{_PRIOR}.denoiser:Denoiser", f"{_PRIOR}.options:DenoiserOptions"),
        "diffusion": (f"{_PRIOR}.diffusion:Diffusion", f"{_PRIOR}.options:DiffusionPriorOptions"),
    },
)
"""From regressed vectors to those that were probably meant. A class of
:class:`brainflix.prior.base.Prior`."""

CAPTIONERS: Kind[Any] = Kind(
    "captioner",
    {
        "target": (
            "brainflix.generation.captions:TargetCaptioner",
            "brainflix.generation.options:TargetCaptionerOptions",
        ),
        "nearest": (
            "brainflix.generation.captions:NearestCaptioner",
            "brainflix.generation.options:NearestCaptionerOptions",
        ),
    },
)
"""From vectors or generated clips to text. A class of
:class:`brainflix.generation.captions.Captioner`."""

GENERATORS: Kind[Any] = Kind(
    "generator",
    {
        "text_to_video": (
            "brainflix.generation.generators:TextToVideo",
            "brainflix.generation.options:TextToVideoOptions",
        ),
        "video_to_video": (
            "brainflix.generation.generators:VideoToVideo",
            "brainflix.generation.options:VideoToVideoOptions",
        ),
    },
)
"""From predicted targets, captions or clips to videos. A class of
:class:`brainflix.generation.generators.Generator`."""
