"""What is to be evaluated: clips opened and paired, nothing read yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from brainflix.config.recipe import EvaluationConfig
from brainflix.errors import ConfigError, StudyError
from brainflix.evaluation.audits.volumes import VolumeWindow
from brainflix.evaluation.standalone.files import ClipSource, listed
from brainflix.evaluation.standalone.folders import ClipSet, open_clips
from brainflix.evaluation.standalone.frame_rules import Rule
from brainflix.evaluation.standalone.pairing import (
    SUBJECT,
    Pair,
    Pairing,
    choose_groups,
    label_pairs,
    pair_by_name,
    pair_by_table,
    read_table,
)
from brainflix.evaluation.standalone.panels import parse_layout, split_panels

MIN_PAIRS = 2


@dataclass(frozen=True)
class EvaluationRequest:
    """What is to be evaluated, and how.

    Attributes
    ----------
    true : str
        A folder, ``FILE.h5``, ``FILE.h5::DATASET`` or ``FILE.npy``; the only one with ``layout``.
    reconstructed : str or None
        The same; None with ``layout``.
    options : EvaluationConfig
        Metrics, models, draws and seed.
    layout : str or None
        See :func:`brainflix.evaluation.standalone.folders.parse_layout`.
    gap : int
        Pixels between panels.
    pairs, groups, windows : Path or None
        Tables: which clips belong together; labels of clips; volumes of trials.
    group_column : str or None
        The column that is resampled.
    frames : "even" or "time"
    size : str
        "true" or ``HxW``.
    allow_unpaired : bool
    training, oracle, against : str or None
        More clips, in the forms of ``true``.
    """

    true: str
    reconstructed: str | None
    options: EvaluationConfig
    layout: str | None = None
    gap: int = 0
    pairs: Path | None = None
    groups: Path | None = None
    group_column: str | None = None
    windows: Path | None = None
    frames: Rule = "even"
    size: str = "true"
    allow_unpaired: bool = False
    training: str | None = None
    oracle: str | None = None
    against: str | None = None


def evaluation_options(
    metrics: str, models: Mapping[str, str | None], **more: Any
) -> EvaluationConfig:
    """Return the options of an evaluation of folders: no models but those that are named.

    Parameters
    ----------
    metrics : str
        "all", "legacy", "sound", or names separated by commas.
    models : mapping of str to str or None
        Key of :class:`EvaluationConfig` to folder, hub id or ``embedded:NAME``.
    **more
        Further keys; None leaves the default.

    Raises
    ------
    ConfigError
        When a metric is unknown or a number impossible.
    """
    from brainflix.config.base import parse

    given = {key: value for key, value in more.items() if value is not None}
    values = {**models, **given, "metrics": chosen_metrics(metrics)}
    return parse(EvaluationConfig, values, where="the command line")


def chosen_metrics(text: str) -> tuple[str, ...]:
    """Return the metrics of a list of names, in which families have names too, without repeats.

    Raises
    ------
    ConfigError
        When a name is unknown, or the list is empty.
    """
    from brainflix.metrics.catalogue import EVERYTHING, LEGACY, SOUND, check_names

    families = {"all": EVERYTHING, "legacy": LEGACY, "sound": SOUND}
    names = [name.strip() for name in text.split(",") if name.strip()]
    chosen = [each for name in names for each in families.get(name, (name,))]
    if not chosen:
        raise ConfigError("the list of metrics is empty", found=repr(text), where="--metrics")
    check_names(chosen)
    return tuple(dict.fromkeys(chosen))


@dataclass(frozen=True)
class OpenedClips:
    """What a request names, opened and paired, nothing read yet.

    Attributes
    ----------
    true, reconstructed : ClipSet
    pairing : Pairing
    groups : tuple of str
        Of each pair.
    group_column : str
    training : dict of str to ClipSource
    others : dict of str to tuple of ClipSource
        "oracle" and "against" where asked for: one clip for each pair.
    places : dict of str to ClipSet
        All sets by the role they play, for the record.
    windows : tuple of VolumeWindow
    """

    true: ClipSet
    reconstructed: ClipSet
    pairing: Pairing
    groups: tuple[str, ...]
    group_column: str
    training: Mapping[str, ClipSource]
    others: Mapping[str, tuple[ClipSource, ...]]
    places: Mapping[str, ClipSet]
    windows: tuple[VolumeWindow, ...] = ()

    @property
    def subjects(self) -> tuple[str, ...]:
        """The subjects, in the order of the pairs; ("",) where there are none."""
        return tuple(dict.fromkeys(pair.subject for pair in self.pairing.pairs))


def open_inputs(request: EvaluationRequest) -> OpenedClips:
    """Open and pair all that a request names.

    Raises
    ------
    BrainflixError
        Where a folder is missing, empty or holds no clips, clips have no partner, or a table does
        not fit.
    """
    true, reconstructed = _open_both(request)
    pairing = _paired(request, true, reconstructed)
    sets = {"true": true, "reconstructed": reconstructed}
    others: dict[str, dict[str, ClipSource]] = {}
    for role, place in (("oracle", request.oracle), ("against", request.against)):
        if place is not None:
            sets[role] = open_clips(place)
            others[role] = _found_in(sets[role], pairing, role, request.allow_unpaired)
    kept = [p for p in pairing.pairs if all(p.reconstructed in found for found in others.values())]
    if len(kept) < MIN_PAIRS:
        raise StudyError(
            "too few pairs to evaluate",
            expected=f"at least {MIN_PAIRS}, so that one clip can be told from another",
            found=len(kept),
            where=f"{true.where}, {reconstructed.where}",
        )
    pairing = replace(pairing, pairs=tuple(kept))
    groups, column = choose_groups(
        pairing.pairs, request.group_column, request.groups or request.pairs
    )
    training: Mapping[str, ClipSource] = true.training
    if request.training is not None:
        sets["training"] = open_clips(request.training)
        training = sets["training"].clips | sets["training"].training
    return OpenedClips(
        true=true,
        reconstructed=reconstructed,
        pairing=pairing,
        groups=groups,
        group_column=column,
        training=training,
        others={
            role: tuple(found[pair.reconstructed] for pair in pairing.pairs)
            for role, found in others.items()
        },
        places=sets,
        windows=read_windows(request.windows) if request.windows else (),
    )


def _open_both(request: EvaluationRequest) -> tuple[ClipSet, ClipSet]:
    if request.layout is None:
        if request.reconstructed is None:
            raise ConfigError(
                "the reconstructions are missing",
                expected="two folders, or one whose pictures show both and a --layout",
                found=request.true,
                remedy="brainflix evaluate TRUE RECONSTRUCTED",
            )
        return open_clips(request.true), open_clips(request.reconstructed)
    if request.reconstructed is not None:
        raise ConfigError(
            "a layout is for one folder whose pictures show both",
            found=f"two: {request.true} and {request.reconstructed}",
            where="--layout",
        )
    parse_layout(request.layout)
    return split_panels(open_clips(request.true), request.layout, request.gap)


def _paired(request: EvaluationRequest, true: ClipSet, reconstructed: ClipSet) -> Pairing:
    where = (true.where, reconstructed.where)
    names = [*true.clips], [*reconstructed.clips]
    if request.pairs is not None:
        rows = read_table(request.pairs)
        pairing = pair_by_table(rows, *names, table=request.pairs, where=where)
    else:
        pairing = pair_by_name(*names, where=where, allow_unpaired=request.allow_unpaired)
    if true.groups:
        pairs = tuple(
            replace(pair, labels={"group": true.groups[pair.true], **pair.labels})
            for pair in pairing.pairs
        )
        pairing = replace(pairing, pairs=pairs)
    if request.groups is not None:
        pairing = label_pairs(pairing, read_table(request.groups), request.groups)
    return pairing


def _found_in(
    found: ClipSet, pairing: Pairing, role: str, allow_missing: bool
) -> dict[str, ClipSource]:
    """Return each pair's clip in another set, by the name of its reconstruction."""
    partners: dict[str, ClipSource] = {}
    for pair in pairing.pairs:
        for name in _other_names(pair):
            if name in found.clips:
                partners[pair.reconstructed] = found.clips[name]
                break
    missing = [p.reconstructed for p in pairing.pairs if p.reconstructed not in partners]
    if missing and (not allow_missing or not partners):
        raise StudyError(
            f"{len(missing)} clips are missing from --{role}",
            expected="a clip for each reconstruction, under the same name",
            found=listed(missing),
            where=found.where,
            remedy="add them, or evaluate the clips that all have with --allow-unpaired",
        )
    return partners


def _other_names(pair: Pair) -> tuple[str, ...]:
    return pair.reconstructed, f"{pair.subject}/{pair.clip}", pair.clip, pair.true


def read_windows(path: Path) -> tuple[VolumeWindow, ...]:
    """Read a table of windows: columns run, split, first, last (volumes) and optionally clip.

    Raises
    ------
    StudyError
        When a column is missing or a volume is not a whole number.
    """
    rows = read_table(path)
    lacking = [name for name in ("run", "split", "first", "last") if name not in rows[0]]
    if lacking:
        raise StudyError(
            "the table does not say which volumes a trial uses",
            expected="columns run, split, first, last",
            found=f"columns {[*rows[0]]}",
            where=path,
        )
    windows = []
    for k, row in enumerate(rows):
        run = "/".join(row[name] for name in (SUBJECT, "run") if row.get(name))
        try:
            first, last = int(row["first"]), int(row["last"])
        except ValueError as error:
            raise StudyError(
                "a volume is not a whole number", found=str(error), where=f"{path}, row {k + 2}"
            ) from error
        windows.append(VolumeWindow(run, row["split"], first, last, row.get("clip", "")))
    return tuple(windows)
