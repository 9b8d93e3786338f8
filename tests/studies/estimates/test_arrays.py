"""The arrays reader: files of each kind, pictures of each form, and what it refuses."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import yaml
from support.layouts.arrays import write_study

from brainflix.config.studies import StudySource
from brainflix.errors import ConfigError, StudyError
from brainflix.studies.estimates.pictures import PictureOptions, picture_frames
from brainflix.studies.readers import open_study, source_files

RNG = np.random.default_rng(0)
ARRAYS = {
    "train_r": RNG.standard_normal((12, 7)),
    "test_r": RNG.standard_normal((8, 7)),
    "train_s": RNG.integers(0, 255, (12, 20), dtype=np.uint8),
    "test_s": RNG.integers(0, 255, (4, 20), dtype=np.uint8),
    "shown": np.array([1, 2, 3, 4, 4, 3, 2, 1]),
    "train_l": np.arange(12) % 2 + 1,
    "test_l": np.array([[1], [2], [1], [2]]),
}
OPTIONS = {
    "subjects": {
        "sub-01": {
            "train": {"responses": "train_r"},
            "test": {"responses": "test_r", "clips": "shown"},
        }
    },
    "first_index": 1,
    "stimuli": {"train": "train_s", "test": "test_s"},
    "picture": {"height": 5, "width": 4, "order": "F"},
    "labels": {"digit": {"train": "train_l", "test": "test_l"}},
    "label_names": {"digit": {1: "six", 2: "nine"}},
    "caption": "a handwritten {digit}",
}


def write(folder, suffix):
    path = folder / f"study{suffix}"
    if suffix == ".npz":
        np.savez(path, **ARRAYS)
    elif suffix == ".mat":
        scipy.io.savemat(path, ARRAYS)
    else:
        with h5py.File(path, "w") as file:
            for name, values in ARRAYS.items():
                file[name] = values
    return path


def make(root, **changes):
    return open_study(StudySource(reader="arrays", root=str(root), options={**OPTIONS, **changes}))


@pytest.fixture
def npz(tmp_path):
    return write(tmp_path, ".npz")


@pytest.mark.parametrize("suffix", [".npz", ".mat", ".h5"])
def test_each_kind_of_file_gives_the_same_study(tmp_path, suffix):
    study = make(write(tmp_path, suffix))
    train, *tests = study.runs("sub-01")
    assert train.trialwise
    assert train.split == "train"
    np.testing.assert_array_equal(study.load(train), ARRAYS["train_r"].astype(np.float32))
    assert [run.repeat for run in tests] == [0, 1]
    assert [event.clip for event in tests[1].events] == [f"test-{k:04d}" for k in (4, 3, 2, 1)]
    np.testing.assert_array_equal(study.load(tests[1]), ARRAYS["test_r"][4:].astype(np.float32))
    assert len(study.voxels("sub-01")) == 7
    clip = study.clips()[13]
    assert (clip.id, clip.split, clip.attributes) == ("test-0002", "test", {"digit": "nine"})
    assert clip.captions == ("a handwritten nine",)
    assert clip.path is None
    frames = study.frames(clip)
    assert frames.shape == (1, 5, 4, 3)
    # stored column by column: the first five values run down the first column
    np.testing.assert_array_equal(frames[0, :, 0, 0], ARRAYS["test_s"][1, :5])
    np.testing.assert_array_equal(frames[..., 0], frames[..., 2])


def test_a_folder_of_npy_files_described_by_yaml(tmp_path):
    for name, values in ARRAYS.items():
        np.save(tmp_path / f"{name}.npy", values)

    def rename(part):
        if isinstance(part, dict):
            return {key: rename(value) for key, value in part.items()}
        return f"{part}.npy" if part in ARRAYS else part

    (tmp_path / "study.yaml").write_text(yaml.safe_dump(rename(OPTIONS)))
    source = StudySource(reader="arrays", root=str(tmp_path / "study.yaml"))
    study = open_study(source)
    np.testing.assert_array_equal(
        study.load(study.runs("sub-01")[0]), ARRAYS["train_r"].astype(np.float32)
    )
    assert [path.name for path in source_files(source, "sub-01")] == [
        "shown.npy",
        "study.yaml",
        "test_r.npy",
        "train_r.npy",
    ]
    assert {path.name for path in source_files(source)} == {
        f"{split}_{kind}.npy" for split in ("train", "test") for kind in "sl"
    } | {"study.yaml"}
    with pytest.raises(ConfigError, match="described twice"):
        make(tmp_path / "study.yaml")


def test_clips_by_repeats_and_sets_of_clips(tmp_path):
    betas = RNG.standard_normal((12, 3, 7))
    np.savez(tmp_path / "a.npz", **{**ARRAYS, "train_r": betas})
    study = make(tmp_path / "a.npz", clips_per_group=4)
    train = [run for run in study.runs("sub-01") if run.split == "train"]
    assert [(run.group, run.repeat) for run in train] == [
        (f"train_set-0{s}", r) for r in range(3) for s in (1, 2, 3)
    ]
    run = train[5]  # repeat 1 of the third set
    assert [event.clip for event in run.events] == [f"train-{k:04d}" for k in (9, 10, 11, 12)]
    np.testing.assert_array_equal(study.load(run), betas[8:12, 1].astype(np.float32))


def refused(words, action, error=StudyError):
    with pytest.raises(error) as caught:
        action()
    for word in words:
        assert word in str(caught.value), str(caught.value)


def test_arrays_that_do_not_fit(tmp_path, npz):
    def changed(**arrays):
        np.savez(tmp_path / "b.npz", **{**ARRAYS, **arrays})
        study = make(tmp_path / "b.npz")
        study.clips()
        return study.runs("sub-01"), study.voxels("sub-01")

    refused(("unknown form", "(7,)"), lambda: changed(train_r=np.zeros(7)))
    refused(("belongs to no train stimulus", "0 to 11"), lambda: changed(train_r=np.zeros((13, 7))))
    refused(("differ in number", "8 clips"), lambda: changed(shown=np.arange(3)))
    refused(("belongs to no test stimulus",), lambda: changed(shown=np.arange(8)))
    refused(("differ in voxels",), lambda: changed(test_r=np.zeros((8, 6))))
    refused(("label digit does not fit",), lambda: changed(train_l=np.zeros(3)))
    refused(("no numbers",), lambda: changed(train_r=np.array([["a"] * 7] * 12)))
    refused(("sub-01", "sub-02"), lambda: make(npz).runs("sub-02"))


def test_python_objects_are_never_unpickled(tmp_path):
    np.savez(tmp_path / "c.npz", **{**ARRAYS, "train_r": np.array([{"a": 1}], dtype=object)})
    refused(("Python objects", "c.npz"), lambda: make(tmp_path / "c.npz").runs("sub-01"))


def test_damaged_missing_and_unnamed_arrays(tmp_path, npz):
    data = npz.read_bytes()
    npz.write_bytes(data[: len(data) // 2])
    refused(("truncated", "study.npz"), lambda: make(npz).runs("sub-01"))
    npz.write_bytes(data)
    refused(("lacks an array", "train_q"), lambda: make(npz, stimuli={"train": "train_q"}).clips())
    (tmp_path / "study.txt").write_text("1")
    refused(("unknown kind",), lambda: make(tmp_path / "study.txt").clips())
    refused(("needs a name",), lambda: make(tmp_path, stimuli={"train": "study.npz"}).clips())
    refused(
        ("outside of the study",), lambda: make(tmp_path, stimuli={"train": "../a.npz:x"}).clips()
    )
    source = StudySource(reader="arrays", root=str(tmp_path), options=OPTIONS)
    refused(("does not exist",), lambda: source_files(source, "sub-01"))


def test_options_are_validated(npz):
    refused(("unknown key",), lambda: make(npz, stimulus={}), ConfigError)
    refused(
        ("the caption names a label", "colour"),
        lambda: make(npz, caption="a {colour} thing").clips(),
        ConfigError,
    )


def test_mat_73_is_read_with_its_axes_turned(tmp_path):
    from brainflix.formats.arrays import read_array

    # what MATLAB writes with -v7.3: HDF5 behind a 512-byte header, axes reversed
    path = tmp_path / "new.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["x"] = ARRAYS["train_r"].T
    with open(path, "r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    np.testing.assert_array_equal(read_array(path, "x"), ARRAYS["train_r"])


@pytest.mark.parametrize(
    ("shape", "options", "expected"),
    [
        ((6, 4), {}, (1, 6, 4, 3)),
        ((6, 4), {"order": "F"}, (1, 4, 6, 3)),
        ((6, 4, 3), {}, (1, 6, 4, 3)),
        ((2, 6, 4, 3), {"order": "F"}, (2, 4, 6, 3)),
        ((72,), {"height": 6, "width": 4}, (1, 6, 4, 3)),
    ],
)
def test_forms_of_pictures(shape, options, expected):
    values = RNG.random(shape)
    frames = picture_frames(values, PictureOptions(scale=255, **options), "here")
    assert frames.shape == expected
    assert frames.dtype == np.uint8
    assert abs(frames.mean() / 255 - values.mean()) < 0.01


def test_pictures_that_are_none():
    refused(
        ("leaves the range",), lambda: picture_frames(np.full((4, 4), 300.0), PictureOptions(), "")
    )
    refused(("not a picture",), lambda: picture_frames(np.zeros(12), PictureOptions(), ""))
    small = PictureOptions(height=3, width=3)
    refused(("another size", "3 x 3"), lambda: picture_frames(np.zeros(12), small, ""))


def test_the_digits_configuration_is_valid_once_the_root_is_given():
    from brainflix.config.loading import merge, read_yaml, validate

    raw = read_yaml(Path(__file__).parents[2] / "configs/digits69.yaml")
    with pytest.raises(ConfigError, match=r"studies\.digits69\.root"):
        validate(raw)
    config = validate(merge(raw, {"studies": {"digits69": {"root": "digit69_28x28.mat"}}}))
    study = config.studies["digits69"]
    assert study.reader == "arrays"
    assert study.preprocessing.selection.method == "all"
    open_study(config.source("digits69"))


# A study that says all that can be said


def described(root, **changes):
    content = yaml.safe_load((root / "study.yaml").read_text())
    content.update(changes)
    (root / "study.yaml").write_text(yaml.safe_dump(content))
    return open_study(StudySource(reader="arrays", root=str(root / "study.yaml")))


def test_a_description_in_full(tmp_path):
    truth = write_study(tmp_path)
    study = described(tmp_path)
    clips = study.clips()
    assert [clip.id for clip in clips[-3:]] == ["b02", "b01", "b00"]  # the order of the list
    assert clips[0].captions == ("clip 0", "again 0")
    assert clips[-1].captions == ("test clip 2",)
    assert [clip.group for clip in clips[:4]] == ["group-0", "group-0", "group-1", "group-1"]
    assert clips[0].duration == pytest.approx(2.0, abs=0.3)
    assert study.frames(clips[0]) is None
    seen = {"train": 0, "test": 0}
    for run in study.runs("sub-01"):
        for event, row in zip(run.events, study.load(run), strict=True):
            if run.split == "train":
                expected = truth["train"][int(event.clip[1:]), run.repeat]
            else:
                number = truth["names"]["test"].index(f"{event.clip}.mp4")
                expected = truth["test"][truth["shown"] == number][run.repeat]
            np.testing.assert_allclose(row, expected, rtol=1e-6)
            seen[run.split] += 1
    assert seen == {"train": 19, "test": 12}  # one repeat was not recorded
    voxels = study.voxels("sub-01")
    np.testing.assert_array_equal(voxels.position, truth["place"])
    np.testing.assert_array_equal(voxels.affine, np.diag([3.0, 3, 3, 1]))
    assert (voxels.shape, voxels.space) == ((4, 3, 2), "T1w")
    names = {path.name for path in study.files()}
    assert {"a00.mp4", "order.txt", "train.json", "groups.npy"} <= names
    assert {path.name for path in study.files("sub-01")} == {"sub-01.h5", "test.npz", "study.yaml"}


def test_descriptions_that_do_not_fit(tmp_path):
    write_study(tmp_path, videos=False)
    refused(
        ("captions do not fit", "10 texts", "3 entries"),
        lambda: described(tmp_path, captions={"train": "test.txt"})._given_captions("train"),
    )
    refused(
        ("groups do not fit",),
        lambda: described(tmp_path, groups={"train": "test_groups.npy"})._groups("train"),
    )
    refused(("holds no stimuli",), lambda: described(tmp_path, stimuli={"train": "none/"}).clips())
    (tmp_path / "twice.txt").write_text("train/a00.mp4\ntrain/a00.mp4\n")
    refused(
        ("names one twice",), lambda: described(tmp_path, stimuli={"train": "twice.txt"}).files()
    )
    (tmp_path / "evil.txt").write_text("../a00.mp4\n")
    refused(
        ("outside of the study",),
        lambda: described(tmp_path, stimuli={"train": "evil.txt"}).files(),
    )


def test_a_group_in_both_splits_is_refused(tmp_path):
    write_study(tmp_path)
    np.save(tmp_path / "test_groups.npy", np.array([7, 4, 8]))
    refused(("straddles",), lambda: described(tmp_path).clips())


def test_positions_that_do_not_fit(tmp_path):
    write_study(tmp_path, videos=False)
    content = yaml.safe_load((tmp_path / "study.yaml").read_text())
    content["subjects"]["sub-01"]["position"] = "groups.npy"
    refused(
        ("positions do not fit",),
        lambda: described(tmp_path, subjects=content["subjects"]).voxels("sub-01"),
    )


def test_axes_that_do_not_fit(npz):
    subjects = {"sub-01": {"train": {"responses": "train_r", "axes": ["clip", "repeat", "voxel"]}}}
    refused(("unknown form", "axes"), lambda: make(npz, subjects=subjects).runs("sub-01"))


@pytest.mark.parametrize("axes", [("voxel", "clip", "repeat"), ("repeat", "voxel", "clip")])
def test_repeats_of_an_array_with_its_voxels_in_front(tmp_path, axes):
    betas = RNG.standard_normal((12, 2, 7)).astype(np.float32)
    betas[4, 1] = np.nan  # not recorded
    order = [("clip", "repeat", "voxel").index(axis) for axis in axes]
    path = tmp_path / "study.npz"
    np.savez(path, **ARRAYS, betas=betas.transpose(order))
    subject = OPTIONS["subjects"]["sub-01"] | {"train": {"responses": "betas", "axes": list(axes)}}
    study = make(path, subjects={"sub-01": subject})
    first, second = [run for run in study.runs("sub-01") if run.split == "train"]
    assert [event.clip for event in second.events] == [
        event.clip for event in first.events if event.clip != "train-0005"
    ]
    np.testing.assert_array_equal(study.load(first), betas[:, 0])
    np.testing.assert_array_equal(study.load(second), np.delete(betas[:, 1], 4, axis=0))


def test_frames_with_channels_first():
    values = RNG.integers(0, 256, (6, 3, 5, 4), dtype=np.uint8)
    frames = picture_frames(values, PictureOptions(channels="first"), "here")
    np.testing.assert_array_equal(frames, values.transpose(0, 2, 3, 1))
