"""Every kind of prior by name; importing this module registers them."""

from __future__ import annotations

from brainflix.prior import captions, denoiser, diffusion, direct, empirical_bayes
from brainflix.prior.base import PRIORS, fit_studies, load_prior, make_prior

__all__ = [
    "PRIORS",
    "captions",
    "denoiser",
    "diffusion",
    "direct",
    "empirical_bayes",
    "fit_studies",
    "load_prior",
    "make_prior",
]
