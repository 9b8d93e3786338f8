"""Study readers: what runs, clips and trials exist on disk, and how to load them."""

from brainflix.studies.readers import READERS, open_study, source_files
from brainflix.studies.study import Clip, Event, Run, Study, VoxelSpace

__all__ = [
    "READERS",
    "Clip",
    "Event",
    "Run",
    "Study",
    "VoxelSpace",
    "open_study",
    "source_files",
]
