"""The reader god: both layouts, regions, the order of test trials, and what is refused."""

import numpy as np
import pytest
from support.layouts.god import TRAIN_CLASSES, VOXELS, write_bdata_study, write_npz_study

from brainflix.config.studies import CleaningConfig, StudySource
from brainflix.errors import ConfigError, StudyError
from brainflix.preprocessing.clean import clean
from brainflix.studies.readers import open_study, source_files


def study(root, **options):
    return open_study(StudySource(reader="god", root=str(root), options=options))


def rows_of(found, subject, split):
    """Return each clip's responses in the order of their repeats."""
    rows = {}
    for run in sorted(found.runs(subject), key=lambda run: run.repeat):
        if run.split == split:
            for event, row in zip(run.events, found.load(run), strict=True):
                rows.setdefault(event.clip, []).append(row)
    return {clip: np.array(values) for clip, values in rows.items()}


@pytest.mark.parametrize("order", ["image", "repeat"])
def test_single_test_trials_are_used_when_their_order_is_certain(tmp_path, order):
    truth = write_npz_study(tmp_path, order=order)
    found = study(tmp_path)
    assert found.subjects() == ("sub-01", "sub-02")
    for subject in found.subjects():
        true = truth[subject]
        train = rows_of(found, subject, "train")
        for trial, index in enumerate(true["index"]):
            name = truth["names"]["train"][index]
            np.testing.assert_allclose(train[name][0], true["train"][trial, :20], rtol=1e-6)
        test = rows_of(found, subject, "test")
        for index, name in enumerate(truth["names"]["test"]):
            expected = true["single"][true["shown"] == index, :20]
            np.testing.assert_allclose(test[name], expected, rtol=1e-6)
        assert found.notices(subject) == ()


def test_averages_are_used_and_said_when_the_order_is_unknown(tmp_path):
    truth = write_npz_study(tmp_path, order="shuffled")
    found = study(tmp_path)
    test = rows_of(found, "sub-01", "test")
    averaged = np.stack([test[name][0] for name in truth["names"]["test"]])
    np.testing.assert_allclose(averaged, truth["sub-01"]["averaged"][:, :20], rtol=1e-6)
    assert "averages" in found.notices("sub-01")[0]
    with pytest.raises(StudyError, match="order of the single test trials"):
        study(tmp_path, test="single").runs("sub-01")


def test_pictures_labels_captions_and_groups(tmp_path):
    truth = write_npz_study(tmp_path)
    found = study(tmp_path)
    clips = found.clips()
    assert [clip.id for clip in clips if clip.split == "train"] == truth["names"]["train"]
    assert clips[0].captions == ("a photo of ostrich",)
    assert clips[0].attributes == {"category": "ostrich"}
    assert {clip.group for clip in clips if clip.split == "train"} == set(TRAIN_CLASSES)
    picture = found.frames(clips[3])
    np.testing.assert_array_equal(picture[0], truth["pictures"]["train"][3])
    names = {path.name for path in source_files(StudySource(reader="god", root=str(tmp_path)))}
    assert {"images_256.npz", "imagenet_training_label.csv"} <= names
    subject = source_files(StudySource(reader="god", root=str(tmp_path)), "sub-02")
    assert [path.name for path in subject] == ["sbj_2.npz"]


def test_regions(tmp_path):
    write_npz_study(tmp_path, subjects=1)
    assert len(study(tmp_path, roi="all").voxels("sub-01")) == VOXELS
    both = study(tmp_path, roi=["V1", "V2"]).voxels("sub-01")
    np.testing.assert_array_equal(both.position[:, 0], np.arange(14))
    assert both.shape == (VOXELS,)
    with pytest.raises(ConfigError, match="lacks a region") as error:
        study(tmp_path, roi="V9").voxels("sub-01")
    assert "V1, V2, VC" in str(error.value.expected)


@pytest.mark.parametrize("matlab", [False, True])
def test_bdata(tmp_path, matlab):
    truth = write_bdata_study(tmp_path, matlab=matlab)
    found = study(tmp_path, roi="all")
    test = rows_of(found, "sub-01", "test")
    names = truth["names"]["test"]
    labels = truth["data"][:, -1]
    for name in names:
        category = int(name[1:9])
        rows = (truth["kinds"] == 2) & (np.floor(labels) == category)
        np.testing.assert_allclose(test[name], truth["data"][rows, :VOXELS], rtol=1e-6)
    train = rows_of(found, "sub-01", "train")
    assert sorted(train) == sorted(truth["names"]["train"])
    voxels = found.voxels("sub-01")
    mm = voxels.position @ voxels.affine[:3, :3].T + voxels.affine[:3, 3]
    np.testing.assert_allclose(mm, truth["place"])


def test_pictures_in_folders(tmp_path):
    from PIL import Image

    truth = write_npz_study(tmp_path, subjects=1)
    (tmp_path / "images_256.npz").unlink()
    for split, folder in (("train", "training"), ("test", "test")):
        (tmp_path / "images" / folder).mkdir(parents=True)
        for name, values in zip(truth["names"][split], truth["pictures"][split], strict=True):
            picture = Image.fromarray(values.astype(np.uint8))
            picture.save(tmp_path / "images" / folder / f"{name}.JPEG")
    found = study(tmp_path, images="images")
    clips = found.clips()
    assert clips[0].path.name == f"{truth['names']['train'][0]}.JPEG"
    assert found.frames(clips[0]) is None
    (tmp_path / "images" / "test" / f"{truth['names']['test'][0]}.JPEG").unlink()
    with pytest.raises(StudyError, match="picture is missing"):
        study(tmp_path, images="images").clips()


def test_cleaning_scales_by_the_training_trials(tmp_path):
    truth = write_npz_study(tmp_path, subjects=1)
    source = StudySource(reader="god", root=str(tmp_path))
    clean(source, "sub-01", CleaningConfig(), tmp_path / "cleaned.h5")
    import h5py

    train = truth["sub-01"]["train"][:, :20]
    with h5py.File(tmp_path / "cleaned.h5") as file:
        rows = file["runs/train_set-01_repeat-01/rows"][()]
        np.testing.assert_allclose(rows, (train - train.mean(0)) / train.std(0), atol=1e-5)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda a: a.pop("arr_3"), "lacks responses"),
        (lambda a: a.update(arr_3=a["arr_3"] + 100), "belongs to no train picture"),
        (lambda a: a.update(arr_2=a["arr_2"][:, :-1]), "differ in voxels"),
        (lambda a: a.update(VC=a["VC"][:-1]), "does not fit the responses"),
    ],
)
def test_what_is_refused(tmp_path, damage, message):
    write_npz_study(tmp_path, subjects=1)
    with np.load(tmp_path / "sbj_1.npz") as file:
        arrays = dict(file)
    damage(arrays)
    np.savez(tmp_path / "sbj_1.npz", **arrays)
    with pytest.raises(StudyError, match=message):
        study(tmp_path).runs("sub-01")


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(StudyError, match="no subjects"):
        study(tmp_path).subjects()
