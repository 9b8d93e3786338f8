"""CC2017 (Wen et al. 2018): films and fMRI of three people, as released or prepared."""

from __future__ import annotations

from typing import ClassVar

from brainflix.studies.published.cc2017.mind_video import MindVideoArrays
from brainflix.studies.published.cc2017.neuroclips import NeuroClipsTensors
from brainflix.studies.published.cc2017.release import Cc2017Cifti, Cc2017Mni
from brainflix.studies.study import StudyForms


class Cc2017(StudyForms):
    """CC2017 in one of four forms.

    ``cifti`` and ``mni`` are the release of Purdue University, ``mind_video`` the arrays that
    MinD-Video (Chen et al. 2023) prepared of it, ``neuroclips`` the tensors of NeuroClips (Gong et
    al. 2024).
    """

    FORMS: ClassVar = {
        "cifti": Cc2017Cifti,
        "mni": Cc2017Mni,
        "mind_video": MindVideoArrays,
        "neuroclips": NeuroClipsTensors,
    }
