"""The pretrained models that look at clips in a person's stead: CLIP and the classifiers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from brainflix.config import EvaluationConfig
from brainflix.errors import ConfigError, DataError
from brainflix.evaluation.clips import Frames, even_frames

Embed = Callable[[Frames], NDArray[np.float32]]
_CHUNK = 32  # clips at a time


@dataclass(frozen=True)
class Verdict:
    """What a classifier sees of one attribute.

    Attributes
    ----------
    names : tuple of str
        The classes.
    probability : ndarray of float64, shape (clip, class)
        Rows sum to 1.
    """

    names: tuple[str, ...]
    probability: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.probability.ndim != 2 or self.probability.shape[1] != len(self.names):
            raise DataError(
                "a verdict needs a column a class",
                expected=len(self.names),
                found=self.probability.shape,
            )

    def labels(self) -> list[str]:
        """Return the most probable class of each clip."""
        return [self.names[k] for k in self.probability.argmax(axis=1)]


class AttributeClassifier(Protocol):
    """Judges clips, an attribute at a time."""

    attributes: tuple[str, ...]

    def __call__(self, frames: Frames) -> dict[str, Verdict]:
        """Return a verdict an attribute on clips (clip, frame, height, width, 3)."""


@dataclass(frozen=True)
class Judges:
    """The models at hand; a metric says which it needs.

    Attributes
    ----------
    clip : callable or None
        Frames uint8 (clip, frame, height, width, 3) to embeddings (clip, dim).
    classifiers : tuple of AttributeClassifier
        The first one that knows an attribute judges it.
    names : mapping of str to str
        What each is called in the configuration, for the record.
    """

    clip: Embed | None = None
    classifiers: tuple[AttributeClassifier, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)

    def need_clip(self) -> Embed:
        """Return the CLIP embedding, or raise :class:`ConfigError` when there is none."""
        if self.clip is None:
            raise ConfigError("this metric needs a CLIP", where="evaluation.clip_model")
        return self.clip

    def classify(self, frames: Frames) -> dict[str, Verdict]:
        """Return a verdict for every attribute that one of the classifiers knows."""
        verdicts: dict[str, Verdict] = {}
        for classifier in self.classifiers:
            if set(classifier.attributes) - set(verdicts):
                verdicts = {**classifier(frames), **verdicts}
        return dict(sorted(verdicts.items()))


def attribute_columns(
    labels: Sequence[str],
) -> dict[str, tuple[NDArray[np.int64], tuple[str, ...]]]:
    """Group a classifier's outputs by attribute.

    Parameters
    ----------
    labels : sequence of str
        The names of the outputs, such as ``object:ball``; names without a colon are left out.

    Returns
    -------
    dict
        Attribute to (columns, class names), in the outputs' order.
    """
    columns: dict[str, list[int]] = {}
    for k, label in enumerate(labels):
        attribute, colon, name = label.partition(":")
        if colon and attribute and name:
            columns.setdefault(attribute, []).append(k)
    return {
        attribute: (np.array(found), tuple(labels[k].partition(":")[2] for k in found))
        for attribute, found in columns.items()
    }


def softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Return the softmax over the last axis, in double precision."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    raised = np.exp(shifted)
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


class ModelClassifier:
    """A classifier loaded by name: one softmax an attribute, the mean over frames if it has them.

    Parameters
    ----------
    name : str
        Folder, hub id or ``embedded:NAME``.
    """

    def __init__(self, name: str) -> None:
        from brainflix.models.classifier import Classifier

        self.model = Classifier.from_pretrained(name).to(_device())
        self.columns = attribute_columns(self.model.labels)
        self.attributes = tuple(self.columns)

    def __call__(self, frames: Frames) -> dict[str, Verdict]:
        """Judge clips; a classifier of clips of another length sees evenly chosen frames."""
        import torch

        if self.model.frames not in (1, frames.shape[1]):
            frames = frames[:, even_frames(frames.shape[1], self.model.frames)]
        logits = np.concatenate(
            [
                self.model.logits(torch.from_numpy(np.ascontiguousarray(frames[k : k + _CHUNK])))
                .cpu()
                .numpy()
                for k in range(0, len(frames), _CHUNK)
            ]
        )  # (clip, class) or (clip, frame, class)
        verdicts = {}
        for attribute, (columns, names) in self.columns.items():
            probability = softmax(logits[..., columns])
            if probability.ndim == 3:
                probability = probability.mean(axis=1)
            verdicts[attribute] = Verdict(names, probability)
        return verdicts


def clip_embedder(name: str) -> Embed:
    """Return the CLIP image embedding of a clip, the same that the target ``clip_image`` holds."""
    from brainflix.targets.encoders import ENCODERS, ClipBatch

    encoder = ENCODERS["clip_image"].from_pretrained(name)

    def embed(frames: Frames) -> NDArray[np.float32]:
        rows = []
        for k in range(0, len(frames), _CHUNK):
            part = np.ascontiguousarray(frames[k : k + _CHUNK])
            batch = ClipBatch([str(i) for i in range(len(part))], part, [()] * len(part))
            rows.append(encoder.encode(batch))
        return np.concatenate(rows)

    return embed


def load_judges(options: EvaluationConfig) -> Judges:
    """Load the models that a configuration names; what it leaves out is not at hand."""
    names = {
        "clip": options.clip_model,
        "video_classifier": options.video_classifier,
        "frame_classifier": options.frame_classifier,
    }
    classifiers = [names[key] for key in ("frame_classifier", "video_classifier")]
    return Judges(
        clip=clip_embedder(options.clip_model) if options.clip_model else None,
        classifiers=tuple(ModelClassifier(name) for name in classifiers if name),
        names={key: name for key, name in names.items() if name},
    )


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
