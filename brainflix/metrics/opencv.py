"""OpenCV, for the metrics whose published numbers are OpenCV's; an optional extra."""

from __future__ import annotations

from typing import Any

from brainflix.errors import ConfigError
from brainflix.metrics.catalogue import REQUIREMENTS


def require_opencv() -> Any:
    """Import OpenCV.

    Raises
    ------
    ConfigError
        When it is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        requirement = REQUIREMENTS["opencv"]
        raise ConfigError(
            f"this metric {requirement.reason}",
            expected="the package opencv-python-headless",
            found=str(error),
            where="evaluation.metrics",
            remedy=requirement.remedy,
        ) from error
    return cv2
