"""Training curves, read from the ``history.json`` that the training stages write."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brainflix.artifacts.store import read_json
from brainflix.errors import ArtifactError

HISTORY = "history.json"
_SUBJECT = re.compile(r"^validation/(?P<subject>.+)/(?P<quantity>[^/]+)$")
_OVERALL = re.compile(r"^(?P<phase>train|validation)_(?P<quantity>.+)$")
_WHOLE = frozenset({"loss", "retrieval"})  # anything else is the loss of a head, by its target
_PHASES = {"train": "training", "validation": "validation"}


@dataclass(frozen=True)
class TrainingCurve:
    """A quantity over the epochs of one fit.

    Attributes
    ----------
    epochs : tuple of int
        0 is the state before the first step.
    values : tuple of float
        One value for each epoch.
    best : int or None
        The position in ``epochs`` of the state that was kept, None where it has no value.
    """

    epochs: tuple[int, ...]
    values: tuple[float, ...]
    best: int | None = None


Drawing = dict[str, TrainingCurve]  # a line's label to the line


def read_history(folder: Path) -> dict[str, dict[str, TrainingCurve]]:
    """Return the curves of every model that a stage fitted, by model and quantity.

    Parameters
    ----------
    folder : Path
        The stage's folder; without a history.json nothing is returned.

    Raises
    ------
    ArtifactError
        When the file is not a history.
    """
    path = folder / HISTORY
    if not path.is_file():
        return {}
    content = read_json(path)
    try:
        return {
            str(name): {
                quantity: _curve(model["epochs"], values, int(model["best"]))
                for quantity, values in model["curves"].items()
            }
            for name, model in content["models"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtifactError(
            "the training history cannot be read",
            expected='{"models": {name: {"epochs", "best", "curves"}}}',
            found=repr(error),
            where=path,
            remedy="run the training stage again",
        ) from error


def _curve(epochs: Sequence[int], values: Sequence[float | None], best: int) -> TrainingCurve:
    """Pair epochs with values, leaving out epochs at which nothing was logged."""
    known = [
        (k, int(epoch), float(value))
        for k, (epoch, value) in enumerate(zip(epochs, values, strict=True))
        if value is not None
    ]
    place = [k for k, _, _ in known]
    return TrainingCurve(
        tuple(epoch for _, epoch, _ in known),
        tuple(value for _, _, value in known),
        place.index(best) if best in place else None,
    )


def arrange(
    models: Mapping[str, Mapping[str, TrainingCurve]], order: Sequence[str] = ()
) -> dict[str, Drawing]:
    """Sort curves into drawings.

    One model of all subjects has its training and validation curves in one drawing; for several
    models the training curves are in one drawing. Each quantity that is validated for
    subjects has a drawing with a line for each subject.

    Parameters
    ----------
    models : mapping
        From :func:`read_history`.
    order : sequence of str
        Subjects in the order in which their lines are drawn; others follow.

    Returns
    -------
    dict
        Title to drawing.
    """
    overall: dict[str, Drawing] = {}
    subjects: dict[str, Drawing] = {}
    for name, curves in models.items():
        for quantity, curve in curves.items():
            if len(curve.epochs) < 2:
                continue
            if found := _SUBJECT.match(quantity):
                quantity = found["quantity"]
                of_head = quantity not in _WHOLE
                title = f"Validation {f'loss, {quantity}' if of_head else quantity}"
                subjects.setdefault(title, {})[found["subject"]] = curve
            elif found := _OVERALL.match(quantity):
                title, label = _overall(found, name, single=len(models) == 1)
                if label:
                    overall.setdefault(title, {})[label] = curve
    rank = {subject: k for k, subject in enumerate(order)}
    for title, lines in subjects.items():
        names = sorted(lines, key=lambda name: rank.get(name, len(rank)))
        subjects[title] = {name: lines[name] for name in names}
    several = {title: lines for title, lines in overall.items() if len(lines) > 1}
    return {**several, **dict(sorted(subjects.items()))}


def _overall(found: re.Match[str], name: str, *, single: bool) -> tuple[str, str]:
    """Return the drawing and the label of a curve over all subjects; no label leaves it out."""
    words, phase = _words(found["quantity"]), _PHASES[found["phase"]]
    if single:
        return words[:1].upper() + words[1:], phase
    return f"Training {words}", name if found["phase"] == "train" else ""


def _words(quantity: Any) -> str:
    return str(quantity).replace("_", " ")
