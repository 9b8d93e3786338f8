"""All metrics by name: in which module each is, which models it needs, and which families it is in.

A metric is one class in a file of its own and one entry in :data:`CATALOGUE`. Its module is
imported when the metric is used, so that names, families and requirements are known without
importing an array library. Names state the definition (``ssim@rgb``), because the literature uses
one name for several definitions.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from brainflix.components import Kind, nearest
from brainflix.errors import ConfigError

if TYPE_CHECKING:
    from brainflix.metrics.base import Metric, Note
    from brainflix.metrics.models import MetricModels

Origin = Literal["published", "published and sound", "sound"]


class CatalogueEntry(NamedTuple):
    """Where a metric is, and what it needs.

    Attributes
    ----------
    module, metric : str
        The module and the name of the class in it.
    origin : str
        "published" for a definition in use in the literature, "sound" for one that measures what
        its name says and whose chance level is known.
    needs : tuple of str
        Keys of :data:`REQUIREMENTS`, any one of which suffices; empty for a metric that needs
        nothing beyond the package's dependencies.
    """

    module: str
    metric: str
    origin: Origin
    needs: tuple[str, ...] = ()


class Requirement(NamedTuple):
    """What a metric may need: the reason given when it is missing, and how to provide it."""

    reason: str
    remedy: str


REQUIREMENTS: Mapping[str, Requirement] = {
    "image_embedding": Requirement("needs a CLIP model", "set evaluation.clip_model"),
    "attribute_classifiers": Requirement(
        "needs classifiers of attributes", "set evaluation.frame_classifier or .video_classifier"
    ),
    "frame_logits": Requirement(
        "needs a classifier of frames with one set of classes", "set evaluation.frame_classifier"
    ),
    "video_logits": Requirement(
        "needs a classifier of clips with one set of classes", "set evaluation.video_classifier"
    ),
    "latents": Requirement("needs a VAE", "set evaluation.vae_model"),
    "video_features": Requirement("needs a model of videos", "set evaluation.video_model"),
    "perceptual_distance": Requirement(
        "needs the weights of LPIPS", "set evaluation.perceptual_model"
    ),
    "opencv": Requirement(
        "needs OpenCV, whose numbers were published",
        "pip install -c constraints.txt 'brainflix[opencv]'",
    ),
}

_SSIM = "brainflix.metrics.ssim"
_PSNR = "brainflix.metrics.psnr"
_HUE = "brainflix.metrics.hue"
_IDENTIFICATION = "brainflix.metrics.identification"
_FLOW = "brainflix.metrics.optical_flow"
_CONSISTENCY = "brainflix.metrics.temporal_consistency"
_CLIP_PCC = "brainflix.metrics.clip_pcc"
_NWAY = "brainflix.metrics.nway_classification"
_BOTH: Origin = "published and sound"
_CLIP = ("image_embedding",)

CATALOGUE: Mapping[str, CatalogueEntry] = {
    "ssim@rgb": CatalogueEntry(_SSIM, "SsimRgb", _BOTH),
    "ssim@gray": CatalogueEntry(_SSIM, "SsimGray", "published"),
    "ssim@column": CatalogueEntry(_SSIM, "SsimColumn", "published"),
    "ssim@luma": CatalogueEntry(_SSIM, "SsimLuma", "sound"),
    "psnr": CatalogueEntry(_PSNR, "Psnr", _BOTH),
    "psnr@luma": CatalogueEntry(_PSNR, "PsnrLuma", "sound"),
    "mse": CatalogueEntry("brainflix.metrics.mse", "Mse", _BOTH),
    "correlation@pixel": CatalogueEntry("brainflix.metrics.correlation", "PixelCorrelation", _BOTH),
    "hue@cosine": CatalogueEntry(_HUE, "HueCosine", "published", ("opencv",)),
    "hue@centred": CatalogueEntry(_HUE, "HueCentred", "sound"),
    "identification@pixel": CatalogueEntry(_IDENTIFICATION, "PixelIdentification", "sound"),
    "50way-identification@pixel": CatalogueEntry(
        _IDENTIFICATION, "NWayPixelIdentification", "sound"
    ),
    "motion-energy": CatalogueEntry("brainflix.metrics.motion_energy", "MotionEnergy", "sound"),
    "identification@motion": CatalogueEntry(_IDENTIFICATION, "MotionIdentification", "sound"),
    "50way-identification@motion": CatalogueEntry(
        _IDENTIFICATION, "NWayMotionIdentification", "sound"
    ),
    "flow-agreement": CatalogueEntry(_FLOW, "FlowAgreement", "sound"),
    "temporal-consistency@relative": CatalogueEntry(_CONSISTENCY, "TemporalConsistency", "sound"),
    "epe": CatalogueEntry(_FLOW, "EndPointError", "published", ("opencv",)),
    "identification@clip": CatalogueEntry(_IDENTIFICATION, "ClipIdentification", "sound", _CLIP),
    "2way-identification@clip": CatalogueEntry(
        _IDENTIFICATION, "NWayClipIdentification", _BOTH, _CLIP
    ),
    "50way-identification@clip": CatalogueEntry(
        _IDENTIFICATION, "NWayClipIdentification", _BOTH, _CLIP
    ),
    "retrieval-rank@clip": CatalogueEntry(
        "brainflix.metrics.retrieval", "RetrievalRank", "sound", _CLIP
    ),
    "temporal-consistency@clip": CatalogueEntry(
        _CONSISTENCY, "ClipTemporalConsistency", "sound", _CLIP
    ),
    "clip-pcc@adjacent": CatalogueEntry(_CLIP_PCC, "ClipPccAdjacent", "published", _CLIP),
    "clip-pcc@gated": CatalogueEntry(_CLIP_PCC, "ClipPccGated", "published", _CLIP),
    "clip-pcc@all-pairs": CatalogueEntry(_CLIP_PCC, "ClipPccAllPairs", "published", _CLIP),
    "vifi@cosine": CatalogueEntry(
        "brainflix.metrics.video_similarity",
        "VideoCosine",
        "published",
        ("video_features", "image_embedding"),
    ),
    "frechet@video": CatalogueEntry(
        "brainflix.metrics.frechet", "FrechetVideoDistance", "sound", ("video_features",)
    ),
    "identification@latent": CatalogueEntry(
        _IDENTIFICATION, "LatentIdentification", "sound", ("latents",)
    ),
    "50way-identification@latent": CatalogueEntry(
        _IDENTIFICATION, "NWayLatentIdentification", "sound", ("latents",)
    ),
    "frame-2way@top3": CatalogueEntry(_NWAY, "FrameTop3", "published", ("frame_logits",)),
    "frame-2way@argmax": CatalogueEntry(_NWAY, "FrameArgmax", _BOTH, ("frame_logits",)),
    "frame-50way@top3": CatalogueEntry(_NWAY, "FrameTop3", "published", ("frame_logits",)),
    "frame-50way@argmax": CatalogueEntry(_NWAY, "FrameArgmax", _BOTH, ("frame_logits",)),
    "video-2way@top3": CatalogueEntry(_NWAY, "VideoTop3", "published", ("video_logits",)),
    "video-2way@argmax": CatalogueEntry(_NWAY, "VideoArgmax", _BOTH, ("video_logits",)),
    "video-50way@top3": CatalogueEntry(_NWAY, "VideoTop3", "published", ("video_logits",)),
    "video-50way@argmax": CatalogueEntry(_NWAY, "VideoArgmax", _BOTH, ("video_logits",)),
    "lpips": CatalogueEntry("brainflix.metrics.lpips", "Lpips", "sound", ("perceptual_distance",)),
    "attributes": CatalogueEntry(
        "brainflix.metrics.attributes", "Attributes", "sound", ("attribute_classifiers",)
    ),
}

EVERYTHING = tuple(CATALOGUE)
MODEL_FREE = tuple(
    name for name, entry in CATALOGUE.items() if not {*entry.needs} - {"opencv"}
)  # no pretrained model needed
MODEL_BASED = tuple(name for name in EVERYTHING if name not in MODEL_FREE)
LEGACY = tuple(name for name, entry in CATALOGUE.items() if entry.origin != "sound")
SOUND = tuple(name for name, entry in CATALOGUE.items() if entry.origin != "published")

_WAYS = re.compile(r"(?<![A-Za-z0-9])(\d+)way")


def _family(name: str) -> str:
    """Return a name with its n of n-way left open: ``50way-...`` is of the family ``nway-...``."""
    return _WAYS.sub("nway", name)


FAMILIES: Mapping[str, CatalogueEntry] = {_family(name): entry for name, entry in CATALOGUE.items()}

METRICS: Kind[type[Metric]] = Kind(
    "metric", {name: f"{entry.module}:{entry.metric}" for name, entry in FAMILIES.items()}
)
"""The classes by family, to which an extension adds its own with ``METRICS.register``."""


def entry(name: str) -> CatalogueEntry:
    """Return a metric's entry; n-way families take any n in the name.

    Raises
    ------
    ConfigError
        When no metric has that name.
    """
    family = _family(name)
    if "nway" in name or family not in METRICS:
        raise ConfigError(
            f"unknown metric {name!r}",
            expected="one of " + ", ".join(sorted(CATALOGUE)) + nearest(name, [*CATALOGUE]),
            where="evaluation.metrics",
            remedy="n-way families take their n in the name, such as frame-50way@top3",
        )
    if family in FAMILIES:
        return FAMILIES[family]
    needs = getattr(METRICS[family], "needs", ())  # an extension's class lists them itself
    return CatalogueEntry(METRICS.module(family), METRICS[family].__name__, "sound", needs)


def lookup(name: str) -> type[Metric]:
    """Import a metric by its name; ``50way`` is the family ``nway`` with n = 50.

    Raises
    ------
    ConfigError
        When no metric has that name.
    """
    entry(name)
    metric = METRICS[_family(name)]
    match = _WAYS.search(name)
    if match is None:
        return metric
    return type(metric.__name__, (metric,), {"ways": int(match[1]), "__doc__": metric.__doc__})


def note(name: str) -> Note:
    """Return what a score means, by its name in metrics.json."""
    family = "attributes" if name.startswith("attribute@") else name
    return lookup(family).note(name)


def usable(names: Sequence[str], models: MetricModels) -> tuple[dict[str, type[Metric]], list[str]]:
    """Return the requested metrics that can be computed, and the names of the others.

    Parameters
    ----------
    names : sequence of str
        The metrics requested.
    models : MetricModels
        The pretrained models that are loaded.
    """
    skipped = [name for name in names if why_skipped(name, models)]
    return {name: lookup(name) for name in names if name not in skipped}, skipped


def why_skipped(name: str, models: MetricModels) -> str:
    """Return why a metric cannot be computed, and the remedy; empty where it can."""
    needs = entry(name).needs
    if not needs or any(_available(need, models) for need in needs):
        return ""
    reasons = ", or ".join(REQUIREMENTS[need].reason for need in needs)
    remedies = ", or ".join(REQUIREMENTS[need].remedy for need in needs)
    return f"{reasons} ({remedies})"


def _available(need: str, models: MetricModels) -> bool:
    if need == "opencv":
        return importlib.util.find_spec("cv2") is not None
    return bool(getattr(models, need))


def check_names(names: Iterable[str]) -> None:
    """Raise :class:`ConfigError` for a name that no metric has; the error lists all names."""
    for name in names:
        entry(name)
