"""Which metrics the literature reports, and which of all can be believed."""

from __future__ import annotations

from brainflix.evaluation.metrics import EVERYTHING

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
