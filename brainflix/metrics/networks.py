"""The pretrained models that look at clips in a person's stead: CLIP and the classifiers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from brainflix.clips.clips import Frames, even_frames
from brainflix.config.recipe import EvaluationConfig
from brainflix.errors import ConfigError, DataError

Embed = Callable[[Frames], NDArray[np.float32]]
Compare = Callable[[Frames, Frames], NDArray[np.float64]]
_MISSING = {  # need: what is missing, and the key that names the model
    "clip": ("needs a CLIP", "clip_model"),
    "clip_frames": ("needs a CLIP", "clip_model"),
    "classifiers": ("needs classifiers of attributes", "frame_classifier"),
    "frame_logits": ("needs a classifier of frames with one set of classes", "frame_classifier"),
    "video_logits": ("needs a classifier of clips with one set of classes", "video_classifier"),
    "latents": ("needs a VAE", "vae_model"),
    "video_features": ("needs a model of videos", "video_model"),
    "perceptual": ("needs the weights of LPIPS", "perceptual_model"),
}
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
    clip_frames : callable or None
        Frames to CLIP embeddings a frame (clip, frame, dim), unit vectors.
    frame_logits, video_logits : callable or None
        Frames to logits (clip, frame, class) and (clip, class) of a classifier with one set of
        classes, such as ImageNet's or Kinetics'.
    latents : callable or None
        Frames to a VAE's latents (clip, ...).
    video_features : callable or None
        Frames to features of whole clips (clip, dim).
    perceptual : callable or None
        True and predicted clips (clip, frame, height, width, 3) to perceptual distances (clip,).
    """

    clip: Embed | None = None
    classifiers: tuple[AttributeClassifier, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    clip_frames: Embed | None = None
    frame_logits: Embed | None = None
    video_logits: Embed | None = None
    latents: Embed | None = None
    video_features: Embed | None = None
    perceptual: Compare | None = None

    def lacks(self, need: str) -> str | None:
        """Return what is missing for a need, in words, or None where it is at hand."""
        return None if getattr(self, need) else _MISSING[need][0]

    def need_clip(self) -> Embed:
        """Return the CLIP embedding, or raise :class:`ConfigError` when there is none."""
        return self.need("clip")

    def need(self, name: str) -> Embed:
        """Return a model by the name of its attribute, or raise :class:`ConfigError`."""
        found = getattr(self, name)
        if found is None:
            reason, key = _MISSING[name]
            raise ConfigError(f"this metric {reason}", where=f"evaluation.{key}")
        return found  # type: ignore[no-any-return]

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
    device : str or None
        Where it computes; None is a GPU if there is one.
    """

    def __init__(self, name: str, device: str | None = None) -> None:
        from brainflix.models.classifier import Classifier

        self.model = Classifier.from_pretrained(name).to(compute_device(device))
        self.columns = attribute_columns(self.model.labels)
        self.attributes = tuple(self.columns)

    def __call__(self, frames: Frames) -> dict[str, Verdict]:
        """Judge clips; a classifier of clips of another length sees evenly chosen frames."""
        return verdicts(self.columns, self.logits(frames))

    def logits(self, frames: Frames) -> NDArray[np.float32]:
        """Return logits, (clip, frame, class) or, of a classifier of clips, (clip, class).

        A VideoMAE takes clips at their own length, as the published evaluations load it; other
        classifiers of clips see evenly chosen frames.
        """
        import torch

        self.model.take_length(frames.shape[1])
        if self.model.frames not in (1, frames.shape[1]):
            frames = frames[:, even_frames(frames.shape[1], self.model.frames)]
        return np.concatenate(
            [
                self.model.logits(torch.from_numpy(np.ascontiguousarray(frames[k : k + _CHUNK])))
                .cpu()
                .numpy()
                for k in range(0, len(frames), _CHUNK)
            ]
        )


def verdicts(
    columns: Mapping[str, tuple[NDArray[np.int64], tuple[str, ...]]], logits: NDArray[Any]
) -> dict[str, Verdict]:
    """Turn logits (clip, class) or (clip, frame, class) into a verdict an attribute."""
    found = {}
    for attribute, (places, names) in columns.items():
        probability = softmax(logits[..., places])
        if probability.ndim == 3:
            probability = probability.mean(axis=1)
        found[attribute] = Verdict(names, probability)
    return found


def clip_frame_embedder(name: str, device: str | None = None) -> Embed:
    """Return CLIP image embeddings a frame, (clip, frame, dim), unit vectors."""
    import torch

    from brainflix.models.clip import Clip

    model = Clip.from_pretrained(name).to(compute_device(device))

    def embed(frames: Frames) -> NDArray[np.float32]:
        flat = torch.from_numpy(np.ascontiguousarray(frames)).flatten(0, 1)
        rows = model.embed_images(flat).cpu().numpy()
        return np.asarray(rows.reshape(*frames.shape[:2], -1))

    return embed


def clip_embedding(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn embeddings a frame into one a clip, as the target ``clip_image`` does."""
    mean = rows.mean(axis=1)
    length = np.linalg.norm(mean, axis=1, keepdims=True)
    return np.divide(mean, length, out=np.zeros_like(mean), where=length > 0)


def latent_encoder(name: str, device: str | None = None) -> Embed:
    """Return the latents of a VAE, the mean of its posterior, flat: (clip, dim)."""
    import torch

    from brainflix.models.video_vae import VideoVAE

    model = VideoVAE.from_pretrained(name).to(compute_device(device))

    def encode(frames: Frames) -> NDArray[np.float32]:
        height, width = (side - side % model.factor for side in frames.shape[2:4])
        inside = np.ascontiguousarray(frames[:, :, :height, :width])
        return np.asarray(model.encode(torch.from_numpy(inside)).flatten(1).cpu().numpy())

    return encode


def video_feature_reader(name: str, device: str | None = None) -> Embed:
    """Return what a classifier's last layer reads, (clip, dim); the mean over frames if it has any.

    Features of the layer before the classes are what video similarity and Frechet video distances
    are computed from.
    """
    import torch
    from torch import nn

    classifier = ModelClassifier(name, device)
    last = [m for m in classifier.model.modules() if isinstance(m, nn.Linear)][-1]
    seen: list[Any] = []
    last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))

    def read(frames: Frames) -> NDArray[np.float32]:
        seen.clear()
        classifier.logits(frames)
        rows = torch.cat([part.flatten(1) for part in seen]).float().cpu().numpy()
        by_clip = rows.reshape(len(frames), -1, rows.shape[1])  # one row a clip, or one a frame
        return np.asarray(by_clip.mean(axis=1))

    return read


def load_judges(options: EvaluationConfig) -> Judges:
    """Load the models that a configuration names; what it leaves out is not at hand."""
    from brainflix.metrics.lpips import load_perceptual

    names = {
        "clip": options.clip_model,
        "video_classifier": options.video_classifier,
        "frame_classifier": options.frame_classifier,
        "vae": options.vae_model,
        "video": options.video_model,
        "perceptual": options.perceptual_model,
    }
    found: dict[str, Any] = {}
    classifiers = {
        key: ModelClassifier(name, options.device)
        for key in ("frame_classifier", "video_classifier")
        if (name := names[key])
    }
    for key, need in (("frame_classifier", "frame_logits"), ("video_classifier", "video_logits")):
        if key in classifiers and not classifiers[key].columns:
            found[need] = classifiers[key].logits
    if name := names["clip"]:
        frames = clip_frame_embedder(name, options.device)
        found |= {"clip_frames": frames, "clip": lambda clips: clip_embedding(frames(clips))}
    for key, need, load in (
        ("vae", "latents", latent_encoder),
        ("video", "video_features", video_feature_reader),
    ):
        if name := names[key]:
            found[need] = load(name, options.device)
    if name := names["perceptual"]:
        found["perceptual"] = load_perceptual(name)
    return Judges(
        classifiers=tuple(judge for judge in classifiers.values() if judge.columns),
        names={key: name for key, name in names.items() if name},
        **found,
    )


def compute_device(name: str | None = None) -> str:
    """Return a device for models: the one named, else a GPU if there is one.

    Raises
    ------
    ConfigError
        When torch does not know the device, or it is not there.
    """
    import torch

    if name is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            "the device cannot be used",
            expected="cpu, or one that torch sees",
            found=f"{name}: {str(error).splitlines()[0]}",
            where="device",
        ) from error
    return name
