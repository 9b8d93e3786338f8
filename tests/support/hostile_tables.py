"""Damaged and hostile tables, sidecars, names and links of a study."""

import json
import os
from pathlib import Path

from support.command_line import StageCall, stage_call
from support.hostile_inputs import BOLD, EVENTS, FUNC, SIDECAR, clean, decode, each, study

HEAD = "onset\tduration\ttrial_type\tstim_file\n"
ROW = "4\t8\tmovie\tseg02.mp4\n"


def events(text: str | bytes):
    """Return damage that replaces a run's events."""

    def damage(root: Path) -> None:
        content = text if isinstance(text, bytes) else text.encode()
        (root / EVENTS).write_bytes(content)

    return damage


def stimuli(text: str):
    """Return damage that replaces the table of clips."""

    def damage(root: Path) -> None:
        (root / "stimuli.tsv").write_bytes(text.encode())

    return damage


def relisted(change):
    """Return damage to the lines of the table of clips."""

    def damage(root: Path) -> None:
        lines = (root / "stimuli.tsv").read_text().splitlines()
        (root / "stimuli.tsv").write_text("\n".join(change(lines)) + "\n")

    return damage


def sidecar(text: str):
    def damage(root: Path) -> None:
        (root / SIDECAR).write_text(text)

    return damage


def long_list(count: int) -> str:
    return '{"RepetitionTime": ' + "[" * count + "]" * count + "}"


each(
    {
        "events_empty": (events(""), ("table is empty", EVENTS)),
        "events_without_lines": (events(HEAD), ("no event of the run", EVENTS)),
        "events_missing": (lambda root: (root / EVENTS).unlink(), ("no events", "run-02")),
        "events_without_stim_file": (
            events("onset\tduration\ttrial_type\n4\t8\tmovie\n"), ("what was shown", "stim_file"),
        ),
        "events_without_onset": (events("duration\tstim_file\n8\tseg02.mp4\n"), ("lacks onset",)),
        "events_past_the_end": (
            events(HEAD + ROW.replace("4\t", "40\t")), ("shorter than its stimuli",),
        ),
        "events_far_before_the_start": (
            events(HEAD + ROW.replace("4\t", "-30\t")), ("stimuli", "run-02"),
        ),
        "events_onset_nan": (events(HEAD + ROW.replace("4\t", "NaN\t")), ("no onset", "line 2")),
        "events_onset_missing": (
            events(HEAD + ROW.replace("4\t", "n/a\t")), ("no onset", "line 2"),
        ),
        "events_onset_infinite": (
            events(HEAD + ROW.replace("4\t", "inf\t")), ("no number", "line 2"),
        ),
        "events_onset_text": (events(HEAD + ROW.replace("4\t", "four\t")), ("no number", "line 2")),
        "events_duration_negative": (events(HEAD + ROW.replace("\t8", "\t-8")), ("event",)),
        "events_too_short_for_the_movie": (
            events(HEAD + ROW.replace("\t8", "\t5")), ("shorter than the clips", "line 2"),
        ),
        "events_unlisted_stimulus": (
            events(HEAD + ROW.replace("seg02", "seg09")), ("seg09.mp4",),
        ),
        "events_ragged_short": (events(HEAD + "4\t8\tmovie\n"), ("number of cells", "line 2")),
        "events_ragged_long": (
            events(HEAD + ROW.replace("\n", "\tmore\n")), ("number of cells", "line 2"),
        ),
        "events_commas": (events((HEAD + ROW).replace("\t", ",")), ("lacks onset", "tabs")),
        "events_utf16": (events((HEAD + ROW).encode("utf-16")), ("cannot be read", EVENTS)),
        "events_latin1": (events((HEAD + ROW).encode() + b"\xe9"), ("cannot be read", EVENTS)),
        "events_zero_bytes": (events(bytes(200)), (EVENTS,)),
        "events_open_quote": (events(HEAD + '4\t8\tmovie\t"seg02.mp4\n'), (EVENTS,)),
        "events_quote_over_lines": (
            events(HEAD + '4\t8\t"movie\tseg02.mp4\n' + '4\t8\tmovie"\tseg02.mp4\n'), (EVENTS,),
        ),
        "events_column_twice": (
            events("onset\tonset\tduration\tstim_file\n4\t5\t8\tseg02.mp4\n"),
            ("column twice", "onset"),
        ),
    }
)  # fmt: skip
each(
    {
        "events_byte_order_mark": (events(b"\xef\xbb\xbf" + (HEAD + ROW).encode()), ()),
        "events_windows_lines": (events((HEAD + ROW).replace("\n", "\r\n")), ()),
        "events_old_mac_lines": (events((HEAD + ROW).replace("\n", "\r")), ()),
        "events_blank_lines": (events(HEAD + "\n" + ROW + "\n\n"), ()),
        "events_quoted_cells": (events(HEAD + ROW.replace("movie", '"movie"')), ()),
        "sidecar_milliseconds": (sidecar('{"RepetitionTime": 2000}'), ()),
        "sidecar_missing": (lambda root: (root / SIDECAR).unlink(), ()),
    }
)
each(
    {
        "sidecar_broken": (sidecar('{"RepetitionTime": 2.0'), ("sidecar cannot be read", SIDECAR)),
        "sidecar_binary": (
            lambda root: (root / SIDECAR).write_bytes(bytes(range(256))), ("sidecar", SIDECAR),
        ),
        "sidecar_a_list": (sidecar("[2.0]"), ("sidecar is not an object", SIDECAR)),
        "sidecar_bottomless": (sidecar(long_list(100_000)), ("sidecar cannot be read", SIDECAR)),
        "sidecar_time_is_text": (sidecar('{"RepetitionTime": "2.0"}'), ("RepetitionTime", SIDECAR)),
        "sidecar_time_is_nan": (sidecar('{"RepetitionTime": NaN}'), ("RepetitionTime", SIDECAR)),
        "sidecar_time_is_endless": (
            sidecar('{"RepetitionTime": 1' + "0" * 400 + "}"), ("RepetitionTime", SIDECAR),
        ),
        "sidecar_time_negative": (sidecar('{"RepetitionTime": -2}'), ("repetition time", "run-02")),
        "sidecar_time_implausible": (
            sidecar('{"RepetitionTime": 55}'), ("repetition time", "not plausible"),
        ),
    }
)  # fmt: skip

# names

each(
    {
        "stim_file_climbs_out": (
            events(HEAD + ROW.replace("seg02.mp4", "../../../../etc/passwd")),
            ("outside of the study", "../../../../etc/passwd", "line 2"),
        ),
        "stim_file_climbs_inside_first": (
            events(HEAD + ROW.replace("seg02.mp4", "a/../../../x.mp4")), ("outside of the study",),
        ),
        "stim_file_absolute": (
            events(HEAD + ROW.replace("seg02.mp4", "/etc/passwd")), ("outside of the study",),
        ),
        "stim_file_backslashes": (
            events(HEAD + ROW.replace("seg02.mp4", "..\\..\\x.mp4")), ("outside of the study",),
        ),
        "stim_file_drive": (
            events(HEAD + ROW.replace("seg02.mp4", "C:\\x.mp4")), ("outside of the study",),
        ),
        "stim_file_endless": (
            events(HEAD + ROW.replace("seg02.mp4", "x" * 5000)), ("name that no file can have",),
        ),
    }
)  # fmt: skip
each(
    {
        "stimuli_climb_out": (
            stimuli("stim_file\tsplit\n../../etc/passwd\ttrain\n"), ("outside of the study",),
        ),
        "clips_of_one_name": (
            relisted(lambda lines: [*lines, lines[1]]), ("two clips have one name", "seg01_00"),
        ),
        "clip_with_a_slash": (
            relisted(lambda lines: [line.replace("seg02_01", "../x") for line in lines]),
            ("clip's name", "../x"),
        ),
        "clip_in_both_splits": (
            relisted(lambda lines: [line.replace("test\ttest", "test\tseg01") for line in lines]),
            ("straddles the splits", "seg01"),
        ),
        "split_unknown": (
            relisted(lambda lines: [line.replace("\ttrain\t", "\tlearn\t") for line in lines]),
            ("unknown split", "learn"),
        ),
        "captions_broken": (
            stimuli('stim_file\tsplit\tcaptions\nseg01.mp4\ttrain\t["a\n'), ("stimuli.tsv",),
        ),
        "captions_bottomless": (
            stimuli("stim_file\tsplit\tcaptions\nseg01.mp4\ttrain\t" + "[" * 100_000 + "\n"),
            ("not a JSON list",),
        ),
        "stimuli_empty": (stimuli(""), ("table is empty",)),
        "stimuli_of_the_wrong_columns": (stimuli("a\tb\n1\t2\n"), ("names no stimuli",)),
    },
    run=decode,
)  # fmt: skip


@study(run=decode)
def names_with_spaces_and_umlauts(root: Path) -> None:
    from support.studies_on_disk import write_video

    names = ("Film über Füchse 1.mp4", "映画 2.mp4")
    for name in names:
        write_video(root / "stimuli" / name, 2.0)
    rows = "".join(
        f"{name}\t{split}\n" for name, split in zip(names, ("train", "test"), strict=True)
    )
    (root / "stimuli.tsv").write_text("stim_file\tsplit\n" + rows)


@study("two clips have one name", run=decode)
def names_that_become_one(root: Path) -> None:
    (root / "stimuli.tsv").write_text("stim_file\tsplit\na b.mp4\ttrain\na?b.mp4\ttrain\n")


# links


def outside(root: Path, name: str) -> Path:
    """Move a file out of the study and return where it is now."""
    place = root.parent / "elsewhere" / Path(name).name
    place.parent.mkdir(exist_ok=True)
    os.replace(root / name, place)
    return place


@study("link leads out of the study", "links_to", BOLD)
def link_out_of_the_study(root: Path) -> None:
    (root / BOLD).symlink_to(outside(root, BOLD))


@study("link leads out of the study", "links_to")
def folder_link_out_of_the_study(root: Path) -> None:
    (root / FUNC).symlink_to(outside(root, FUNC))


@study("link leads out of the study", "/etc/passwd", run=decode)
def stimulus_link_out_of_the_study(root: Path) -> None:
    (root / "stimuli/seg02.mp4").unlink()
    (root / "stimuli/seg02.mp4").symlink_to("/etc/passwd")


@study("run-02")
def link_to_itself(root: Path) -> None:
    (root / BOLD).unlink()
    (root / BOLD).symlink_to(root / BOLD)


@study()
def link_within_the_study(root: Path) -> None:
    (root / "store").mkdir()
    os.replace(root / BOLD, root / "store/bold.nii.gz")
    (root / BOLD).symlink_to(root / "store/bold.nii.gz")


@study(links_to=["FOLDER/elsewhere"])
def link_to_an_admitted_folder(root: Path) -> None:
    (root / BOLD).symlink_to(outside(root, BOLD))


@study()
def link_into_the_annex(root: Path) -> None:
    annex = root.parent / ".git/annex/objects/aa"
    annex.mkdir(parents=True)
    os.replace(root / BOLD, annex / "bold.nii.gz")
    (root / BOLD).symlink_to(annex / "bold.nii.gz")


# repeats


def select_after_clean(root: Path, **source: object) -> StageCall:
    first = clean(root, **source)
    return stage_call("select", root.parent, {"root": str(root), **source}, first=first)


@study("too few training repeats", run=select_after_clean)
def repeats_missing(root: Path) -> None:
    names = json.loads(json.dumps([f"run-{number:02d}" for number in (4, 5, 6)]))
    for path in (root / FUNC).iterdir():
        if "task-train" in path.name and any(name in path.name for name in names):
            path.unlink()
    (root / "sub-01/sub-01_scans.tsv").unlink()


@study("no training trials")
def only_test_runs(root: Path) -> None:
    for path in (root / FUNC).glob("*task-train*"):
        path.unlink()
    (root / "sub-01/sub-01_scans.tsv").unlink()


@study("the study does not exist")
def nothing_at_all(root: Path) -> None:
    os.rename(root, root.parent / "somewhere")
