"""The sections of the page, in their order; see :class:`brainflix.report.page.PageSection`."""

from __future__ import annotations

from brainflix.report.page import PageSection
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

SECTIONS: tuple[PageSection, ...] = (
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
