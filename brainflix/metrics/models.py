"""The pretrained models that metrics use: CLIP, classifiers, a VAE, a model of videos, LPIPS."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from brainflix.clips.clips import Frames, even_frames
from brainflix.config.recipe import EvaluationConfig
from brainflix.errors import ConfigError, DataError
from brainflix.metrics.catalogue import REQUIREMENTS

Embed = Callable[[Frames], NDArray[np.float32]]
ClipDistance = Callable[[Frames, Frames], NDArray[np.float64]]
_CHUNK = 32  # clips at a time


@dataclass(frozen=True)
class ClassProbabilities:
    """A classifier's probabilities for the classes of one attribute.

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
                "class probabilities need one column for each class",
                expected=len(self.names),
                found=self.probability.shape,
            )

    def labels(self) -> list[str]:
        """Return the most probable class of each clip."""
        return [self.names[k] for k in self.probability.argmax(axis=1)]


class AttributeClassifier(Protocol):
    """Classifies clips by one or more attributes, such as colour and motion."""

    attributes: tuple[str, ...]

    def __call__(self, frames: Frames) -> dict[str, ClassProbabilities]:
        """Return probabilities by attribute for clips (clip, frame, height, width, 3)."""


@dataclass(frozen=True)
class MetricModels:
    """The pretrained models that are loaded; None or empty for those that are not.

    Attributes
    ----------
    image_embedding : callable or None
        Frames uint8 (clip, frame, height, width, 3) to CLIP embeddings of each frame
        (clip, frame, dim), unit vectors.
    attribute_classifiers : tuple of AttributeClassifier
        Of several classifiers that know an attribute, the first one is asked.
    frame_logits, video_logits : callable or None
        Frames to logits (clip, frame, class) and (clip, class) of a classifier with one set of
        classes, such as ImageNet's or Kinetics'.
    latents : callable or None
        Frames to a VAE's latents (clip, ...).
    video_features : callable or None
        Frames to features of whole clips (clip, dim).
    perceptual_distance : callable or None
        True and predicted clips (clip, frame, height, width, 3) to perceptual distances (clip,).
    names : mapping of str to str
        What each is called in the configuration, for the record.
    """

    image_embedding: Embed | None = None
    attribute_classifiers: tuple[AttributeClassifier, ...] = ()
    frame_logits: Embed | None = None
    video_logits: Embed | None = None
    latents: Embed | None = None
    video_features: Embed | None = None
    perceptual_distance: ClipDistance | None = None
    names: Mapping[str, str] = field(default_factory=dict)

    def require(self, name: str) -> Any:
        """Return a model by the name of its attribute.

        Raises
        ------
        ConfigError
            When it is not loaded.
        """
        model = getattr(self, name)
        if not model:
            requirement = REQUIREMENTS[name]
            raise ConfigError(
                f"this metric {requirement.reason}",
                expected="a pretrained model",
                found="none",
                where="evaluation",
                remedy=requirement.remedy,
            )
        return model

    def classify(self, frames: Frames) -> dict[str, ClassProbabilities]:
        """Return class probabilities for every attribute that one of the classifiers knows."""
        known: dict[str, ClassProbabilities] = {}
        for classifier in self.attribute_classifiers:
            if set(classifier.attributes) - set(known):
                known = {**classifier(frames), **known}  # earlier classifiers take precedence
        return dict(sorted(known.items()))


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
    """A classifier loaded by name: a softmax for each attribute, the mean over frames if any.

    Parameters
    ----------
    name : str
        Folder, hub id or ``embedded:NAME``.
    device : str or None
        Where it computes; None for a GPU if there is one.
    """

    def __init__(self, name: str, device: str | None = None) -> None:
        from brainflix.models.classifier import Classifier

        self.model = Classifier.from_pretrained(name).to(compute_device(device))
        self.columns = attribute_columns(self.model.labels)
        self.attributes = tuple(self.columns)

    def __call__(self, frames: Frames) -> dict[str, ClassProbabilities]:
        """Classify clips; a classifier of clips of another length sees evenly chosen frames."""
        return class_probabilities(self.columns, self.logits(frames))

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


def class_probabilities(
    columns: Mapping[str, tuple[NDArray[np.int64], tuple[str, ...]]], logits: NDArray[Any]
) -> dict[str, ClassProbabilities]:
    """Turn logits (clip, class) or (clip, frame, class) into probabilities by attribute."""
    by_attribute = {}
    for attribute, (places, names) in columns.items():
        probability = softmax(logits[..., places])  # over the attribute's own classes alone
        if probability.ndim == 3:
            probability = probability.mean(axis=1)  # (clip, frame, class) -> (clip, class)
        by_attribute[attribute] = ClassProbabilities(names, probability)
    return by_attribute


def clip_frame_embedder(name: str, device: str | None = None) -> Embed:
    """Return a function that embeds frames by CLIP, (clip, frame, dim), as unit vectors."""
    import torch

    from brainflix.models.image_text import ImageTextModel

    model = ImageTextModel.from_pretrained(name).to(compute_device(device))

    def embed(frames: Frames) -> NDArray[np.float32]:
        flat = torch.from_numpy(np.ascontiguousarray(frames)).flatten(0, 1)
        rows = model.embed_images(flat).cpu().numpy()
        return np.asarray(rows.reshape(*frames.shape[:2], -1))

    return embed


def clip_embedding(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn embeddings of frames into one for each clip, as the target ``clip_image`` does."""
    mean = rows.mean(axis=1)
    length = np.linalg.norm(mean, axis=1, keepdims=True)
    return np.divide(mean, length, out=np.zeros_like(mean), where=length > 0)


def latent_encoder(name: str, device: str | None = None) -> Embed:
    """Return a function that encodes clips by a VAE: its posterior's mean, flat, (clip, dim)."""
    import torch

    from brainflix.models.video_vae import VideoVAE

    model = VideoVAE.from_pretrained(name).to(compute_device(device))

    def encode(frames: Frames) -> NDArray[np.float32]:
        height, width = (side - side % model.factor for side in frames.shape[2:4])
        inside = np.ascontiguousarray(frames[:, :, :height, :width])
        return np.asarray(model.encode(torch.from_numpy(inside)).flatten(1).cpu().numpy())

    return encode


def video_feature_reader(name: str, device: str | None = None) -> Embed:
    """Return a function that gives the input of a classifier's last layer, (clip, dim).

    Video similarity and Frechet video distances are computed from the features of the layer before
    the classes; those of a classifier of frames are averaged over frames.
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
        by_clip = rows.reshape(
            len(frames), -1, rows.shape[1]
        )  # one row for each clip, or for each frame
        return np.asarray(by_clip.mean(axis=1))

    return read


def load_models(options: EvaluationConfig) -> MetricModels:
    """Load the models that a configuration names; the others stay None."""
    from brainflix.metrics.lpips import load_lpips

    names = {
        "clip": options.clip_model,
        "video_classifier": options.video_classifier,
        "frame_classifier": options.frame_classifier,
        "vae": options.vae_model,
        "video": options.video_model,
        "perceptual": options.perceptual_model,
    }
    loaded: dict[str, Any] = {}
    classifiers = {
        key: ModelClassifier(name, options.device)
        for key in ("frame_classifier", "video_classifier")
        if (name := names[key])
    }
    for key, need in (("frame_classifier", "frame_logits"), ("video_classifier", "video_logits")):
        if key in classifiers and not classifiers[key].columns:
            loaded[need] = classifiers[key].logits
    if name := names["clip"]:
        loaded["image_embedding"] = clip_frame_embedder(name, options.device)
    for key, need, load in (
        ("vae", "latents", latent_encoder),
        ("video", "video_features", video_feature_reader),
    ):
        if name := names[key]:
            loaded[need] = load(name, options.device)
    if name := names["perceptual"]:
        loaded["perceptual_distance"] = load_lpips(name)
    return MetricModels(
        attribute_classifiers=tuple(c for c in classifiers.values() if c.columns),
        names={key: name for key, name in names.items() if name},
        **loaded,
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
