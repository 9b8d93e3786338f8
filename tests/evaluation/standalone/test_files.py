"""Reading and pairing what `brainflix evaluate` is given, and which frame meets which."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from support.clips_on_disk import (
    FRAMES,
    SIZE,
    N,
    damaged,
    true_clips,
    write_gif,
    write_h5,
    write_pictures,
    write_set,
    write_video,
)

from brainflix.artifacts.store import create, write_dataset
from brainflix.config.recipe import EvaluationConfig
from brainflix.errors import ArtifactError, BrainflixError, ConfigError, StudyError, VideoError
from brainflix.evaluation.standalone.files import ProbedClip, natural_key
from brainflix.evaluation.standalone.folders import open_clips
from brainflix.evaluation.standalone.frame_rules import even_pair, middles, plan_frames, time_pair
from brainflix.evaluation.standalone.loading import loaded, read_clip
from brainflix.evaluation.standalone.pairing import (
    choose_groups,
    label_pairs,
    pair_by_name,
    pair_by_table,
    read_table,
)
from brainflix.evaluation.standalone.panels import parse_layout, split_panels
from brainflix.evaluation.standalone.probing import probe_clips
from brainflix.evaluation.standalone.request import EvaluationRequest, open_inputs, read_windows

SHARED = Path(__file__).parents[3].parent / "shared" / "data" / "videos"
CLIPS = true_clips()


def frames_of(place: str | Path) -> dict[str, np.ndarray]:
    """Read all frames of all clips of a place."""
    clips = open_clips(place).clips
    forms = probe_clips(clips, "probe")
    return {
        name: read_clip(clip, forms[name].stored, (len(forms[name]), *_size(forms[name]), 3))
        for name, clip in clips.items()
    }


def _size(form: ProbedClip) -> tuple[int, int]:
    return form.height, form.width


def request(true: object, reconstructed: object = None, **more: object) -> EvaluationRequest:
    other = None if reconstructed is None else str(reconstructed)
    return EvaluationRequest(str(true), other, EvaluationConfig(), **more)


@pytest.mark.parametrize("form", ["mkv", "avi", "png", "npy"])
def test_lossless_forms_give_the_frames_that_were_written(tmp_path: Path, form: str) -> None:
    found = frames_of(write_set(tmp_path / "a", CLIPS[:3], form))
    assert [*found] == ["clip0", "clip1", "clip2"]
    for k, clip in enumerate(found.values()):
        np.testing.assert_array_equal(clip, CLIPS[k])


@pytest.mark.parametrize("form", ["mp4", "webm", "gif"])
def test_lossy_forms_give_nearly_the_frames_that_were_written(tmp_path: Path, form: str) -> None:
    found = frames_of(write_set(tmp_path / "a", CLIPS[:2], form))
    for k, clip in enumerate(found.values()):
        assert clip.shape == CLIPS[k].shape
        assert np.abs(clip.astype(float) - CLIPS[k]).mean() < 12


def test_datasets_and_arrays_hold_sets_of_clips(tmp_path: Path) -> None:
    named = frames_of(write_h5(tmp_path / "a.h5", CLIPS, names=[f"v{k}" for k in range(N)]))
    assert [*named] == [f"v{k}" for k in range(N)]
    floats = frames_of(write_h5(tmp_path / "b.h5", CLIPS.astype(np.float32) / 255, "deep/set"))
    np.save(tmp_path / "c.npy", CLIPS)
    plain = frames_of(tmp_path / "c.npy")
    assert [*floats] == [*plain] == [f"{k:04d}" for k in range(N)]
    for found in (named, floats, plain):
        np.testing.assert_array_equal(np.stack([*found.values()]), CLIPS)


def test_own_artifacts_know_splits_and_variants(tmp_path: Path) -> None:
    dims = ["clip", "frame", "height", "width", "channel"]
    with create(tmp_path / "stimuli.h5", "stimuli") as file:
        write_dataset(file, "frames", CLIPS, dims)
        write_dataset(file, "clip", [f"c{k}" for k in range(N)], ["clip"])
        write_dataset(file, "split", ["train"] * 2 + ["test"] * 4, ["clip"])
        write_dataset(file, "group", [f"g{k // 2}" for k in range(N)], ["clip"])
        file.attrs["fps"] = 4.0
    with create(tmp_path / "videos.h5", "videos") as file:
        write_dataset(file, "clip", ["c2", "c3", "c4", "c5"], ["clip"])
        for variant, values in (("network", CLIPS[2:]), ("ridge", 255 - CLIPS[2:])):
            write_dataset(file, f"frames/{variant}", values, dims)
    inputs = open_inputs(request(tmp_path / "stimuli.h5", tmp_path / "videos.h5"))
    assert [pair.clip for pair in inputs.pairing.pairs] == ["c2", "c3", "c4", "c5"]
    assert inputs.groups == ("g1", "g1", "g2", "g2")
    assert [*inputs.training] == ["c0", "c1"]
    ridge = frames_of(f"{tmp_path / 'videos.h5'}::frames/ridge")
    np.testing.assert_array_equal(ridge["c3"], 255 - CLIPS[3])


def test_numbers_in_names_sort_by_value(tmp_path: Path) -> None:
    assert sorted(["a10", "a2", "b1"], key=natural_key) == ["a2", "a10", "b1"]
    ramp = np.repeat(np.arange(12, dtype=np.uint8)[:, None, None, None] * 20, 4, axis=1)
    clip = np.ascontiguousarray(np.broadcast_to(ramp, (12, 4, 6, 3)))
    write_pictures(tmp_path / "a" / "one", clip)
    found = frames_of(tmp_path / "a")["one"]
    np.testing.assert_array_equal(found[:, 0, 0, 0], np.arange(12) * 20)


def test_frames_that_a_gif_merges_count_as_often_as_they_are_shown(tmp_path: Path) -> None:
    partly = CLIPS[0, [0, 1, 2, 2, 2, 3]]
    still = CLIPS[1, [4] * 6]
    for name, clip in (("whole", CLIPS[2, :6]), ("partly", partly), ("still", still)):
        write_gif(tmp_path / "a" / f"{name}.gif", clip)
    forms = probe_clips(open_clips(tmp_path / "a").clips, "probe")
    assert {name: form.stored.tolist() for name, form in forms.items()} == {
        "whole": [0, 1, 2, 3, 4, 5],
        "partly": [0, 1, 2, 2, 2, 3],
        "still": [0] * 6,
    }
    assert forms["partly"].times is not None
    np.testing.assert_allclose(forms["partly"].times[:, 0], np.arange(6) * 0.33, atol=0.01)


@pytest.mark.parametrize(
    ("layout", "first", "across"),
    [
        ("left-right", "true", True),
        ("right-left", "reconstructed", True),
        ("top-bottom", "true", False),
        ("reconstructed/true", "reconstructed", False),
    ],
)
def test_panels_are_cut_apart(tmp_path: Path, layout: str, first: str, across: bool) -> None:
    gap, axis = 3, 2 if across else 1
    parts = {"true": CLIPS[:3], "reconstructed": 255 - CLIPS[:3]}
    second = next(name for name in parts if name != first)
    bar = np.zeros_like(CLIPS[:3]).take(range(gap), axis=axis + 1)
    whole = np.concatenate([parts[first], bar, parts[second]], axis=axis + 1)
    write_set(tmp_path / "a", whole, "png")
    for found, wanted in zip(
        split_panels(open_clips(tmp_path / "a"), layout, gap), parts.values(), strict=True
    ):
        forms = probe_clips(found.clips, "probe")
        for k, (name, clip) in enumerate(found.clips.items()):
            shape = (FRAMES, SIZE, SIZE, 3)
            assert _size(forms[name]) == (SIZE, SIZE)
            np.testing.assert_array_equal(read_clip(clip, forms[name].stored, shape), wanted[k])


def test_a_panel_can_be_passed_over_and_a_wrong_layout_is_named(tmp_path: Path) -> None:
    assert parse_layout("true|_|reconstructed") == (["true", "_", "reconstructed"], True)
    for wrong in ("true", "true|true", "true|reconstructed/_", "left|right", ""):
        with pytest.raises(ConfigError, match="layout cannot be read"):
            parse_layout(wrong)
    write_set(tmp_path / "a", CLIPS[:2, :, :, :31], "png")
    true, _ = split_panels(open_clips(tmp_path / "a"), "left-right", 0)
    with pytest.raises(VideoError, match=r"2 of 2 clips cannot be read"):
        probe_clips(true.clips, "probe")


# --- which frame meets which


def form(n: int, rate: float | None = None, start: float = 0.0) -> ProbedClip:
    if rate is None:
        return ProbedClip(np.arange(n), 4, 4)
    begin = start + np.arange(n) / rate
    return ProbedClip(np.arange(n), 4, 4, np.stack([begin, begin + 1 / rate], axis=1))


def test_even_frames_are_those_of_the_formula() -> None:
    true, reconstructed = even_pair(60, 6, 6)
    assert true.tolist() == [0, 12, 24, 35, 47, 59]  # round(linspace(0, 59, 6)): .4 and .6 apart
    assert reconstructed.tolist() == [0, 1, 2, 3, 4, 5]
    assert even_pair(5, 3, 3)[0].tolist() == [0, 2, 4]
    assert even_pair(1, 4, 4)[0].tolist() == [0, 0, 0, 0]


def test_times_are_the_middles_of_the_clip_with_fewer_frames() -> None:
    true, reconstructed = form(60, 30.0), form(6, 3.0)
    np.testing.assert_allclose(middles(true, reconstructed), (np.arange(6) + 0.5) / 3)
    i, j = time_pair(true, reconstructed, 6)
    assert i.tolist() == [5, 15, 25, 35, 45, 55]  # 1/6 s is the start of frame 5 at 30 a second
    assert j.tolist() == [0, 1, 2, 3, 4, 5]
    swapped = time_pair(reconstructed, true, 6)
    assert swapped[0].tolist() == j.tolist()
    assert swapped[1].tolist() == i.tolist()


def test_time_stops_where_the_other_clip_ends() -> None:
    true, fast = form(60, 30.0), form(6, 8.0)  # 6 frames in 0.75 s
    i, j = time_pair(true, fast, 6)
    assert i.tolist() == [1, 5, 9, 13, 16, 20]  # floor(30 (k + .5) / 8)
    assert j.tolist() == [0, 1, 2, 3, 4, 5]
    slow = form(6, 2.0)  # 3 s, of which the true clip lasts 2
    i, j = time_pair(true, slow, 4)
    assert i.tolist() == [7, 22, 37, 52]
    assert j.tolist() == [0, 1, 2, 3]


def test_clips_without_times_last_as_long_as_the_other() -> None:
    i, j = time_pair(form(60, 30.0), form(6), 6)
    assert i.tolist() == [5, 15, 25, 35, 45, 55]
    assert j.tolist() == [0, 1, 2, 3, 4, 5]
    i, j = time_pair(form(8), form(4), 4)
    assert i.tolist() == [1, 3, 5, 7]  # middles 1, 3, 5, 7 of 8 s
    assert j.tolist() == [0, 1, 2, 3]


def test_a_variable_rate_is_followed() -> None:
    edges = np.array([0.0, 0.1, 0.9, 1.0])
    variable = ProbedClip(np.arange(3), 4, 4, np.stack([edges[:-1], edges[1:]], axis=1))
    i, j = time_pair(form(10, 10.0), variable, 3)
    assert i.tolist() == [0, 5, 9]  # middles at .05, .5, .95
    assert j.tolist() == [0, 1, 2]


def test_a_still_does_not_shorten_the_others() -> None:
    pairs = [(form(12, 6.0), form(6, 3.0)), (form(12, 6.0), form(1, 3.0))]
    for rule in ("even", "time"):
        plan = plan_frames(pairs, rule, "true", ["a", "b"])
        assert plan.frames == 6
        assert plan.reconstructed[1].tolist() == [0] * 6
    assert plan.true[1].tolist() == [0, 2, 4, 7, 9, 11]


def test_the_set_has_one_number_of_frames_and_the_record_says_so() -> None:
    pairs = [(form(10), form(5)), (form(8), form(4))]
    plan = plan_frames(pairs, "even", "6x8", ["a", "b"], others=[form(3)])
    assert plan.shape == (3, 6, 8, 3)
    assert [k.tolist() for k in plan.true] == [[0, 4, 9], [0, 4, 7]]
    assert [k.tolist() for k in plan.reconstructed] == [[0, 2, 4], [0, 2, 3]]
    assert plan.record["frames"]["rule"] == "even"
    assert plan.record["frames"]["true"] == {"8": 1, "10": 1}
    assert plan.record["frames"]["compared"] == 3
    assert plan.record["size"]["true"] == {"4x4": 2}


def test_true_clips_of_several_sizes_need_one_to_be_given() -> None:
    pairs = [(form(4), form(4)), (ProbedClip(np.arange(4), 9, 4), form(4))]
    with pytest.raises(ConfigError, match="differ in size") as caught:
        plan_frames(pairs, "even", "true", ["a", "b"])
    assert "9 x 4 (b)" in str(caught.value)
    assert plan_frames(pairs, "even", "5x7", ["a", "b"]).shape == (4, 5, 7, 3)
    for wrong in ("big", "0x4", "4", "4x"):
        with pytest.raises(ConfigError, match="size cannot be read"):
            plan_frames(pairs, "even", wrong, ["a", "b"])


def test_frames_reach_the_store_resized(tmp_path: Path) -> None:
    large = np.repeat(np.repeat(CLIPS, 2, axis=2), 2, axis=3)
    write_set(tmp_path / "true", np.repeat(CLIPS, 2, axis=1), "png")
    write_set(tmp_path / "rec", large, "npy")
    asked = request(tmp_path / "true", tmp_path / "rec")
    with loaded(open_inputs(asked), asked) as found:
        subject = found.subjects[""]
        folder = Path(subject.predicted.path).parent
        assert folder.is_dir()
        np.testing.assert_array_equal(subject.predicted[:], CLIPS)  # the area average undoes it
        i = even_pair(2 * FRAMES, FRAMES, FRAMES)[0] // 2
        np.testing.assert_array_equal(subject.true.frames[:], CLIPS[:, i])
    assert not folder.exists()


def test_the_temporary_folder_goes_even_when_reading_fails(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    write_set(tmp_path / "true", CLIPS, "png")
    write_set(tmp_path / "rec", CLIPS, "png")
    path = tmp_path / "rec" / "clip3" / "frame5.png"
    path.write_bytes(path.read_bytes()[:200])  # its size can be read, its pixels cannot
    asked = request(tmp_path / "true", tmp_path / "rec")
    with pytest.raises(VideoError) as caught:
        with loaded(open_inputs(asked), asked):
            pass
    assert str(path) in str(caught.value)
    assert list((tmp_path / "tmp").iterdir()) == []


# --- pairing


def test_clips_of_one_name_belong_together() -> None:
    found = pair_by_name(["a", "b", "c"], ["c", "a", "b"])
    assert [(p.clip, p.true, p.reconstructed) for p in found.pairs] == [
        ("c", "c", "c"),
        ("a", "a", "a"),
        ("b", "b", "b"),
    ]
    assert found.rule == "name"


def test_unpaired_names_are_an_error_that_names_them() -> None:
    with pytest.raises(StudyError) as caught:
        pair_by_name(["a", "b", "c"], ["b", "c", "x"], where=("T", "R"))
    assert "2 clips have no partner" in str(caught.value)
    assert "T: a has no reconstruction" in str(caught.value)
    assert "R: x has no true clip" in str(caught.value)
    found = pair_by_name(["a", "b", "c"], ["b", "c", "x"], allow_unpaired=True)
    assert [p.clip for p in found.pairs] == ["b", "c"]
    assert found.unpaired_true == ("a",)
    assert found.unpaired_reconstructed == ("x",)
    with pytest.raises(StudyError, match="not one clip has a partner"):
        pair_by_name(["a"], ["b"], allow_unpaired=True)


def test_a_folder_a_subject_is_understood() -> None:
    names = [f"{subject}/{clip}" for subject in ("sub-01", "sub-02") for clip in ("a", "b")]
    found = pair_by_name(["a", "b"], names)
    assert [(p.subject, p.clip) for p in found.pairs] == [
        ("sub-01", "a"),
        ("sub-01", "b"),
        ("sub-02", "a"),
        ("sub-02", "b"),
    ]
    with pytest.raises(StudyError, match="not shown the same clips") as caught:
        pair_by_name(["a", "b"], names[:3])
    assert "sub-02 lacks b" in str(caught.value)


def test_a_table_pairs_and_labels(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("true,reconstructed,scene,subject\na.mp4,x1,s1,p\nb,x2.gif,s2,p\na,y1,s1,q\n")
    found = pair_by_table(read_table(path), ["a", "b", "c"], ["x1", "x2", "y1"], table=path)
    assert [(p.subject, p.clip, p.reconstructed) for p in found.pairs] == [
        ("p", "a", "x1"),
        ("p", "b", "x2"),
        ("q", "a", "y1"),
    ]
    assert found.unpaired_true == ("c",)
    groups, column = choose_groups(found.pairs, None, path)
    assert (groups, column) == (("s1", "s2", "s1"), "scene")
    with pytest.raises(ConfigError, match="no column film"):
        choose_groups(found.pairs, "film", path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("true,other\na,b\n", "columns true and reconstructed"),
        ("true,reconstructed\na,nowhere\n", "row 2, reconstructed: nowhere"),
        ("true,reconstructed\na,x\na,x\n", "pairs of one name"),
        ("true,reconstructed\n", "no rows"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(StudyError) as caught:
        pair_by_table(read_table(path), ["a", "b"], ["x", "y"], table=path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_several_reconstructions_of_one_clip_go_by_their_own_names() -> None:
    rows = [{"true": "a", "reconstructed": f"a_{k}"} for k in range(3)]
    found = pair_by_table(rows, ["a"], ["a_0", "a_1", "a_2"], table="t")
    assert [p.clip for p in found.pairs] == ["a_0", "a_1", "a_2"]


def test_labels_come_from_a_table_of_clips() -> None:
    found = pair_by_name(["a", "b"], ["a", "b"])
    labelled = label_pairs(found, [{"clip": "b.mp4", "g": "2"}, {"clip": "a", "g": "1"}], "t")
    assert [p.labels["g"] for p in labelled.pairs] == ["1", "2"]
    with pytest.raises(StudyError, match="have no row"):
        label_pairs(found, [{"clip": "a", "g": "1"}], "t")
    with pytest.raises(StudyError, match="two different rows"):
        label_pairs(found, [{"clip": "a", "g": "1"}, {"clip": "a", "g": "2"}], "t")


def test_labels_can_differ_between_subjects() -> None:
    names = [f"{subject}/{clip}" for subject in "pq" for clip in "ab"]
    rows = [
        {"clip": clip, "subject": subject, "run": subject + clip}
        for clip in "ab"
        for subject in "pq"
    ]
    labelled = label_pairs(pair_by_name(["a", "b"], names), rows, "t")
    assert [p.labels["run"] for p in labelled.pairs] == ["pa", "pb", "qa", "qb"]
    with pytest.raises(StudyError, match="have no row") as caught:
        label_pairs(pair_by_name(["a", "b"], names), rows[:3], "t")
    assert "q b" in str(caught.value)


def test_windows_come_from_a_table(tmp_path: Path) -> None:
    path = tmp_path / "w.tsv"
    path.write_text("run\tsplit\tfirst\tlast\tsubject\n1\ttest\t3\t5\ts1\n")
    (window,) = read_windows(path)
    assert (window.run, window.first, window.last) == ("s1/1", 3, 5)
    path.write_text("run\tsplit\tfirst\tlast\n1\ttest\t3\tx\n")
    with pytest.raises(StudyError, match="not a whole number"):
        read_windows(path)


# --- what cannot be read


def test_each_damaged_clip_is_named(tmp_path: Path) -> None:
    root = write_set(tmp_path / "a", CLIPS[:4], "mkv")
    (root / "clip1.mkv").write_bytes(b"")
    cut = root / "clip2.mkv"
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    with pytest.raises(VideoError) as caught:
        probe_clips(open_clips(root).clips, "probe")
    text = str(caught.value)
    assert "2 of 4 clips cannot be read" in text
    assert "clip1.mkv" in text
    assert "clip2.mkv" in text
    assert "clip3" not in text


def test_a_cut_gif_is_noticed(tmp_path: Path) -> None:
    path = write_gif(tmp_path / "a" / "x.gif", CLIPS[0])
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    with pytest.raises(VideoError, match="1 of 1"):
        probe_clips(open_clips(tmp_path / "a").clips, "probe")


def probe_all(root: Path) -> None:
    for clip in open_clips(root).clips.values():
        clip.probe()


def _empty(root: Path) -> None:
    root.mkdir()


def _strange(root: Path) -> None:
    root.mkdir()
    (root / "notes.txt").write_text("x")


def _hole(root: Path) -> None:
    write_set(root, CLIPS[:2], "png")
    (root / "clip1").rename(root / "old")
    (root / "clip1").mkdir()


def _gap(root: Path) -> None:
    write_set(root, CLIPS[:2], "png")
    (root / "clip1" / "frame3.png").unlink()


def _flat(root: Path) -> None:
    write_pictures(root, CLIPS[0])


def _twice(root: Path) -> None:
    write_video(root / "a.mkv", CLIPS[0])
    write_video(root / "a.avi", CLIPS[0])


def _unequal(root: Path) -> None:
    write_set(root, CLIPS[:1], "png")
    Image.fromarray(CLIPS[0, 0, :9]).save(root / "clip0" / "frame2.png")


def _channels_first(root: Path) -> None:
    root.mkdir()
    np.save(root / "a.npy", CLIPS[0].transpose(0, 3, 1, 2))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (None, "nothing to evaluate"),
        (_empty, "holds no clips"),
        (_strange, "notes.txt"),
        (_hole, "folders are empty"),
        (_gap, "frame2.png followed by frame4.png"),
        (_flat, "a folder of its own"),
        (_twice, "two clips have one name"),
        (_unequal, "differ in size"),
        (_channels_first, "colour channels last"),
    ],
)
def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path, make, said: str) -> None:
    root = tmp_path / "a"
    if make is not None:
        make(root)
    with pytest.raises(BrainflixError) as caught:
        probe_all(root)
    assert said in str(caught.value)
    assert str(root) in str(caught.value)


def test_a_dataset_must_be_named_and_hold_clips(tmp_path: Path) -> None:
    write_h5(tmp_path / "a.h5", CLIPS, "some/where")
    assert len(open_clips(tmp_path / "a.h5")) == N  # the only one that can be meant
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["more"] = CLIPS[:1]
    with pytest.raises(ArtifactError, match="which dataset") as caught:
        open_clips(tmp_path / "a.h5")
    assert "some/where (6, 8, 32, 32, 3)" in str(caught.value)
    with pytest.raises(ArtifactError, match="no clips in other"):
        open_clips(f"{tmp_path / 'a.h5'}::other")
    data = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "b.h5").write_bytes(data[: len(data) // 2])
    with pytest.raises(ArtifactError, match="cannot be read"):
        open_clips(f"{tmp_path / 'b.h5'}::some/where")


@pytest.mark.parametrize("values", [CLIPS[0].astype(np.float32), CLIPS[0].astype(np.float64) - 1])
def test_floats_must_lie_between_0_and_1(tmp_path: Path, values: np.ndarray) -> None:
    (tmp_path / "a").mkdir()
    np.save(tmp_path / "a" / "x.npy", values)
    clip = open_clips(tmp_path / "a").clips["x"]
    with pytest.raises(VideoError, match="not pixels"):
        next(clip.frames(np.arange(2)))


@pytest.mark.skipif(not SHARED.is_dir(), reason="real recordings are not here")
def test_real_recordings_are_reconciled() -> None:
    clips = open_clips(SHARED).clips
    forms = probe_clips({name: clips[name] for name in ("milk", "no", "thanks")}, "probe")
    assert {name: (len(f), f.height, f.width) for name, f in forms.items()} == {
        "milk": (51, 480, 640),
        "no": (66, 480, 640),
        "thanks": (51, 480, 640),
    }
    i, j = time_pair(forms["milk"], forms["no"], 51)
    np.testing.assert_array_equal(i, j)  # both run at 30 frames a second
    assert damaged(CLIPS[:1]).shape == CLIPS[:1].shape
