"""Damaged and hostile inputs by name, each with what must come of it.

``PYTHONPATH=tests python -m support.hostile_inputs FOLDER`` writes all of them into a folder and
lists them; ``tests/studies/test_hostile_inputs.py`` runs the command line on each. A case either
ends with exit code 2, one message that names certain words, and nothing written, or it is odd but
valid, and then what is read must equal what the undamaged study gives.
"""

import functools
import importlib
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.command_line import SUBJECT, StageCall, stage_call
from support.studies_on_disk import Plan, write_study

FUNC = "sub-01/func"
STEM = f"{FUNC}/sub-01_task-train_run-02"
BOLD = f"{STEM}_space-T1w_desc-preproc_bold.nii.gz"
SIDECAR = f"{STEM}_space-T1w_desc-preproc_bold.json"
MASK = f"{STEM}_space-T1w_desc-brain_mask.nii.gz"
EVENTS = f"{STEM}_events.tsv"
TEST_BOLD = f"{FUNC}/sub-01_task-test_run-01_space-T1w_desc-preproc_bold.nii.gz"
CIFTI = f"{STEM}_space-fsLR_den-91k_bold.dtseries.nii"
MARKER = "this-was-run"  # what a malicious input would create


@dataclass(frozen=True)
class Case:
    """An input and what must come of it.

    Parameters
    ----------
    name : str
        Unique; the name of its folder.
    make : callable
        Writes the input and a configuration into a folder and returns the stage's call.
    words : tuple of str
        What the message must name; empty for an input that is valid.
    tolerance : float
        For valid ones, by how much cleaned values (in standard deviations) may differ.
    """

    name: str
    make: Callable[[Path], StageCall]
    words: tuple[str, ...]
    tolerance: float = 1e-3

    @property
    def valid(self) -> bool:
        return not self.words


CASES: dict[str, Case] = {}


def _enter(case: Case) -> None:
    if case.name in CASES:
        raise ValueError(case.name)
    CASES[case.name] = case


@functools.cache
def base(kind: str) -> Path:
    """Return an undamaged study: "nifti", "cifti" or "videos" (single clips as real mp4)."""
    root = Path(tempfile.mkdtemp(prefix=f"hostile-{kind}-"))
    plan = Plan(
        kind="event_related" if kind == "videos" else "movie",
        subjects=(SUBJECT,),
        train_sets=3,
        clips_per_set=4,
        test_repeats=2,
        cifti=kind == "cifti",
        videos=False,
    )
    write_study(root / "study", plan)
    return root / "study"


def clean(root: Path, **source: object) -> StageCall:
    """Return the call that cleans the subject of a study."""
    return stage_call("clean", root.parent, {"root": str(root), **source})


def decode(root: Path, **source: object) -> StageCall:
    """Return the call that decodes a study's clips."""
    form = {"frames": 2, "height": 16, "width": 16}
    return stage_call("decode", root.parent, {"root": str(root), **source}, stimuli=form)


def study(*words: str, kind: str = "nifti", tolerance: float = 1e-3, run=clean, **source: object):
    """Enter a case that damages a copy of a study; the function's name is the case's."""

    def enter(damage: Callable[[Path], None]) -> Callable[[Path], None]:
        def make(folder: Path) -> StageCall:
            shutil.copytree(base(kind), folder / "study")
            damage(folder / "study")
            named = {key: _filled(value, folder) for key, value in source.items()}
            return run(folder / "study", **named)

        _enter(Case(damage.__name__, make, words, tolerance))
        return damage

    return enter


def _filled(value: object, folder: Path) -> object:
    """Put the case's folder into a part of the source."""
    return json.loads(json.dumps(value).replace("FOLDER", str(folder)))


def each(cases: dict[str, tuple[Callable[[Path], None], Sequence[str]]], **options) -> None:
    """Enter several cases that damage a copy of a study by short functions."""
    for name, (damage, words) in cases.items():

        def named(root: Path, damage: Callable[[Path], None] = damage) -> None:
            damage(root)

        named.__name__ = name
        study(*words, **options)(named)


def other(*words: str):
    """Enter a case that writes its input itself; the function's name is the case's."""

    def enter(make: Callable[[Path], StageCall]) -> Callable[[Path], StageCall]:
        _enter(Case(make.__name__, make, words))
        return make

    return enter


def load() -> dict[str, Case]:
    """Return all cases by name."""
    for module in ("support.hostile_images", "support.hostile_tables", "support.hostile_arrays"):
        importlib.import_module(module)  # entering their cases
    return CASES


def main(folder: Path) -> None:
    """Write every case into a folder and list them."""
    module = sys.modules["support.hostile_inputs"]
    for case in module.load().values():
        place = folder / case.name
        place.mkdir(parents=True)
        call = case.make(place)
        stages = [*([] if call.first is None else [call.first]), call]
        commands = [stage.arguments for stage in stages]
        (place / "commands.json").write_text(json.dumps(commands, indent=1))
        outcome = "read right" if case.valid else "refused: " + " ... ".join(case.words)
        print(f"{case.name:42} {outcome}")
    print(f"{len(module.CASES)} inputs in {folder}")


if __name__ == "__main__":
    from support import hostile_inputs

    hostile_inputs.main(Path(sys.argv[1]))
