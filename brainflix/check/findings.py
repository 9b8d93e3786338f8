"""What a check finds, as plain values that become a table or JSON."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from brainflix.errors import BrainflixError

Severity = Literal["fails", "doubtful"]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Parameters
    ----------
    severity : {"fails", "doubtful"}
        Whether a run would end with an error, or go on with results that may not mean what they
        seem to.
    what, expected, found, where, remedy : str
        As in :class:`brainflix.errors.BrainflixError`; empty where unknown.
    """

    severity: Severity
    what: str
    expected: str = ""
    found: str = ""
    where: str = ""
    remedy: str = ""

    @classmethod
    def of(cls, error: BrainflixError, severity: Severity = "fails") -> Problem:
        """Return an error as a problem."""
        parts = (error.expected, error.found, error.where, error.remedy)
        return cls(severity, error.what, *("" if part is None else str(part) for part in parts))


@dataclass(frozen=True)
class SubjectFacts:
    """What is known of a subject's runs.

    Parameters
    ----------
    subject : str
        The label.
    train_runs, test_runs : int
        Runs that could be understood.
    volumes : str
        Volumes per run, or trials where responses were estimated per trial: lowest-highest.
    trials : int
        Presentations of clips.
    train_repeats, test_repeats : str
        How often clips are shown: lowest-highest.
    voxels : int
        Voxels or grayordinates in the mask.
    unusable : int
        Voxels that are constant or not finite in a run that was read.
    repetition_time, header_time : str
        TR in s that is used, and that of the files' headers.
    spare : str
        Seconds of a run after the end of its last stimulus: lowest-highest; empty for trials.
    runs_read : int
        Runs whose values were read to the end.
    """

    subject: str
    train_runs: int = 0
    test_runs: int = 0
    volumes: str = ""
    trials: int = 0
    train_repeats: str = ""
    test_repeats: str = ""
    voxels: int = 0
    unusable: int = 0
    repetition_time: str = ""
    header_time: str = ""
    spare: str = ""
    runs_read: int = 0


@dataclass(frozen=True)
class StimulusFacts:
    """What is known of the clips."""

    train_clips: int = 0
    test_clips: int = 0
    files: int = 0
    files_decoded: int = 0
    with_captions: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Estimate:
    """What a run needs; the rules are in :mod:`brainflix.check.estimates`."""

    memory: dict[str, float] = field(default_factory=dict)  # stage -> bytes
    disk: dict[str, float] = field(default_factory=dict)  # artifact -> bytes
    time: dict[str, float] = field(default_factory=dict)  # part -> s on one core


@dataclass(frozen=True)
class StudyCheck:
    """All that was found in a study."""

    study: str
    reader: str
    root: str
    subjects: tuple[SubjectFacts, ...] = ()
    stimuli: StimulusFacts = StimulusFacts()
    problems: tuple[Problem, ...] = ()
    notices: tuple[str, ...] = ()
    estimate: Estimate = Estimate()

    @property
    def fails(self) -> bool:
        """Whether a run would end with an error."""
        return any(problem.severity == "fails" for problem in self.problems)

    def plain(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**asdict(self), "fails": self.fails}


class Findings:
    """Problems as they come, each once."""

    def __init__(self) -> None:
        self._problems: dict[tuple[str, str, str], Problem] = {}

    def add(self, problem: Problem) -> None:
        """Note a problem; the first of those that say the same counts."""
        self._problems.setdefault((problem.what, problem.where, problem.found), problem)

    def error(self, error: BrainflixError, severity: Severity = "fails") -> None:
        """Note an error."""
        self.add(Problem.of(error, severity))

    def sorted(self) -> tuple[Problem, ...]:
        """Return what fails, then what is doubtful, each in the order found."""
        return tuple(sorted(self._problems.values(), key=lambda one: one.severity != "fails"))


class Deadline:
    """A stretch of time that reading and decoding may take."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds

    @property
    def passed(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() >= self.end


def span(values: Iterable[float], digits: int = 0) -> str:
    """Return "lowest-highest", one number where they are equal, nothing for nothing."""
    shown = sorted({round(float(value), digits) for value in values})
    texts = [f"{value:.{digits}f}" for value in shown]
    if digits:
        texts = [text.rstrip("0").rstrip(".") for text in texts]
    return "" if not texts else texts[0] if len(texts) == 1 else f"{texts[0]}-{texts[-1]}"
