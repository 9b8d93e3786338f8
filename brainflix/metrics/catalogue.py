"""All metrics by name, and which of them can be computed with the models at hand.

A metric is one class and one entry in :data:`METRICS`. It scores a set of reconstructions against
the clips they should show, and says in words what that shows and what it does not. Names state the
definition (``ssim@rgb``), because the literature uses one name for several.
"""

from __future__ import annotations

from collections.abc import Sequence

from brainflix.errors import ConfigError
from brainflix.metrics import classes as class_metrics
from brainflix.metrics import clip_space as clip_metrics
from brainflix.metrics import features as model_metrics
from brainflix.metrics import motion as motion_metrics
from brainflix.metrics import pixels as pixel_metrics
from brainflix.metrics import ssim as ssim_metrics  # noqa: F401
from brainflix.metrics.base import METRICS, Metric, Note, PairMetric, lookup, note
from brainflix.metrics.networks import Judges

MODEL_FREE = (
    "ssim@rgb",
    "ssim@gray",
    "ssim@column",
    "ssim@luma",
    "psnr",
    "psnr@luma",
    "mse",
    "correlation@pixel",
    "hue@cosine",
    "hue@centred",
    "identification@pixel",
    "50way-identification@pixel",
    "motion-energy",
    "identification@motion",
    "50way-identification@motion",
    "flow-agreement",
    "temporal-consistency@relative",
    "epe",
)
OF_MODELS = (
    "identification@clip",
    "2way-identification@clip",
    "50way-identification@clip",
    "retrieval-rank@clip",
    "temporal-consistency@clip",
    "clip-pcc@adjacent",
    "clip-pcc@gated",
    "clip-pcc@all-pairs",
    "vifi@cosine",
    "frechet@video",
    "identification@latent",
    "50way-identification@latent",
    *(
        f"{judge}-{ways}way@{rule}"
        for judge in ("frame", "video")
        for ways in (2, 50)
        for rule in ("top3", "argmax")
    ),
    "lpips",
    "attributes",
)
EVERYTHING = MODEL_FREE + OF_MODELS


def usable(names: Sequence[str], judges: Judges) -> tuple[dict[str, type[Metric]], list[str]]:
    """Return the metrics asked for that the judges at hand allow, and the names of the others."""
    chosen, skipped = {}, []
    for name in names:
        metric = lookup(name)
        if metric.obstacle(judges) is None:
            chosen[name] = metric
        else:
            skipped.append(name)
    return chosen, skipped


def why_skipped(name: str, judges: Judges) -> str:
    """Return in words why a metric cannot be computed; empty where it can."""
    return lookup(name).obstacle(judges) or ""


def check_names(names: Sequence[str]) -> None:
    """Raise :class:`ConfigError` where a name is not a metric's, with the names that are."""
    for name in names:
        try:
            lookup(name)
        except ConfigError as error:
            error.remedy = "n-way families take their n in the name, such as frame-50way@top3"
            raise


__all__ = [
    "EVERYTHING",
    "METRICS",
    "MODEL_FREE",
    "Metric",
    "Note",
    "OF_MODELS",
    "PairMetric",
    "check_names",
    "class_metrics",
    "clip_metrics",
    "lookup",
    "model_metrics",
    "motion_metrics",
    "note",
    "pixel_metrics",
    "usable",
    "why_skipped",
]


# As published: each name states one of the definitions in use.
LEGACY = (
    "ssim@rgb",
    "ssim@gray",
    "ssim@column",
    "psnr",
    "mse",
    "correlation@pixel",
    "hue@cosine",
    "epe",
    "2way-identification@clip",
    "50way-identification@clip",
    "clip-pcc@adjacent",
    "clip-pcc@gated",
    "clip-pcc@all-pairs",
    "vifi@cosine",
    *(
        f"{judge}-{ways}way@{rule}"
        for judge in ("frame", "video")
        for ways in (2, 50)
        for rule in ("top3", "argmax")
    ),
)


# Legacy and sound: what they measure is what their name says, and chance is known.
_BOTH = frozenset(
    {"ssim@rgb", "psnr", "mse", "correlation@pixel", "2way-identification@clip"}
    | {"50way-identification@clip"}
    | {name for name in LEGACY if name.endswith("@argmax")}
)


SOUND = tuple(name for name in EVERYTHING if name not in LEGACY or name in _BOTH)
