"""The clips of BOLD Moments: annotations.json and the stimulus set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from brainflix.errors import StudyError
from brainflix.studies.bids.stimuli import Stimulus, StimulusTable
from brainflix.studies.captions import caption_texts, read_json_object
from brainflix.studies.study import SPLITS

ANNOTATIONS = "derivatives/stimuli_metadata/annotations.json"
STIMULI = "stimulus_set/stimuli"
DURATION = 3.0  # s
LABELS = {"object": "objects", "scene": "scenes", "action": "actions"}


def read_annotations(path: Path) -> StimulusTable:
    """Return the clips that annotations.json lists, named "0001" to "1102".

    The five descriptions become captions; of the five annotators' objects, scenes and actions the
    most frequent one becomes the attribute ``object``, ``scene`` and ``action``.

    Raises
    ------
    StudyError
        When the file is missing, no JSON, or an entry lacks its split or descriptions.
    """
    content = read_json_object(path, "the annotations")
    return StimulusTable((_stimulus(name, content[name], path) for name in sorted(content)), path)


def _stimulus(name: str, entry: Any, path: Path) -> Stimulus:
    where = f"{path}, {name}"
    split = entry.get("set") if isinstance(entry, Mapping) else None
    if split not in SPLITS or not (name.isdigit() and len(name) == 4):
        raise StudyError(
            "an annotation has an unexpected form",
            expected='"0001": {"set": "train" or "test", "text_descriptions": [...], ...}',
            found=f"{name!r}: set {split!r}",
            where=where,
            remedy="download annotations.json again",
        )
    return Stimulus(
        clip=name,
        file=f"{split}/{name}.mp4",
        duration=DURATION,
        split=split,
        group=name,
        captions=caption_texts(entry.get("text_descriptions", []), where),
        attributes={
            label: common
            for label, key in LABELS.items()
            if (common := _most_common(entry.get(key, []))) is not None
        },
    )


def _most_common(answers: Any) -> str | None:
    """Return the answer that most annotators gave, the first of equals; "--" does not count."""
    counted = Counter(answer for answer in _flat(answers) if answer.strip("- "))
    return counted.most_common(1)[0][0] if counted else None


def _flat(answers: Any) -> Iterable[str]:
    if isinstance(answers, str):
        yield answers
    elif isinstance(answers, list):
        for answer in answers:
            yield from _flat(answer)
