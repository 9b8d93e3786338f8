"""brainflix: reconstruct the video a person watched from their fMRI."""

__version__ = "0.1.0"
