"""The sections of the page, in their order; see :class:`brainflix.report.page.Section`."""

from __future__ import annotations

from brainflix.report.page import Section
from brainflix.report.sections import (
    audits,
    clips,
    comparison,
    distributions,
    meanings,
    origin,
    scores,
    summary,
    training,
    vectors,
    voxels,
)

SECTIONS: tuple[Section, ...] = (
    summary,
    clips,
    scores,
    distributions,
    comparison,
    vectors,
    audits,
    voxels,
    training,
    meanings,
    origin,
)
