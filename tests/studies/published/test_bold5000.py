"""The reader bold5000: trials by their lists, regions side by side, the repeated set as test."""

import numpy as np
import pytest
from support.layouts.bold5000 import NAMES, REGIONS, REPEATED, write_study

from brainflix.config.studies import StudySource
from brainflix.errors import ConfigError, StudyError
from brainflix.studies.bids.stimuli import clip_name
from brainflix.studies.readers import open_study, source_files


def study(root, **options):
    return open_study(StudySource(reader="bold5000", root=str(root), options=options))


def test_each_trial_is_that_of_its_list(tmp_path):
    truth = write_study(tmp_path)
    found = study(tmp_path)
    assert found.subjects() == ("CSI1", "CSI4")
    for subject in found.subjects():
        shown, regions = truth[subject]["shown"], truth[subject]["regions"]
        values = np.concatenate([regions[region] for region in REGIONS], axis=1)
        seen = []
        for run in found.runs(subject):
            rows = found.load(run)
            assert rows.dtype == np.float32
            for event, row in zip(run.events, rows, strict=True):
                trials = [k for k, name in enumerate(shown) if clip_name(name) == event.clip]
                np.testing.assert_array_equal(row, values[trials[run.repeat]])
                assert run.split == ("test" if shown[trials[0]] in REPEATED else "train")
                seen.append(trials[run.repeat])
        assert sorted(seen) == list(range(len(shown)))
        assert len(found.voxels(subject)) == values.shape[1]
        assert "GLMsingle" in found.notices(subject)[0]


def test_pictures_labels_and_captions(tmp_path):
    write_study(tmp_path)
    (tmp_path / "captions.yaml").write_text('"COCO_train2014_000000001000.jpg": [a dog, a cat]\n')
    clips = {clip.id: clip for clip in study(tmp_path, captions="captions.yaml").clips()}
    assert len(clips) == len(NAMES)
    assert clips["n01440764_101"].captions == ("a photo of tench",)
    assert clips["n01440764_101"].attributes == {"source": "imagenet", "label": "tench"}
    assert clips["airport3"].captions == ("a photo of airport",)
    assert clips["COCO_train2014_000000001000"].captions == ("a dog", "a cat")
    assert clips["COCO_train2014_000000001001"].split == "test"
    assert clips["airport3"].path.is_file()


def test_pictures_held_in_a_dictionary(tmp_path):
    truth = write_study(tmp_path, subjects=("CSI1",), held=True)
    found = study(tmp_path)
    for clip in found.clips():
        name = next(name for name in NAMES if clip_name(name) == clip.id)
        np.testing.assert_array_equal(found.frames(clip)[0], truth["pictures"][name])


def test_files_are_listed(tmp_path):
    write_study(tmp_path)
    source = StudySource(reader="bold5000", root=str(tmp_path))
    names = [path.name for path in source_files(source, "CSI1")]
    assert sum(name.endswith(".npy") for name in names) == 10
    assert "CSI_sess01_run01.txt" in names
    assert "airport1.jpg" in [path.name for path in source_files(source)]


def test_some_regions(tmp_path):
    truth = write_study(tmp_path, subjects=("CSI1",))
    found = study(tmp_path, regions=["RHPPA"])
    assert len(found.voxels("CSI1")) == truth["CSI1"]["regions"]["RHPPA"].shape[1]
    with pytest.raises(ConfigError, match="lacks regions"):
        study(tmp_path, regions=["V1"]).voxels("CSI1")


def test_what_is_refused(tmp_path):
    write_study(tmp_path, subjects=("CSI1",))
    lists = tmp_path / "BOLD5000_Stimuli" / "Stimuli_Presentation_Lists" / "CSI1"
    last = sorted(lists.rglob("*.txt"))[-1]
    text = last.read_text()
    last.unlink()
    with pytest.raises(StudyError, match="differ in number"):
        study(tmp_path).runs("CSI1")
    last.write_text(text)
    picture = next((tmp_path / "BOLD5000_Stimuli").rglob("airport1.jpg"))
    picture.unlink()
    with pytest.raises(StudyError, match="picture is missing"):
        study(tmp_path).clips()
    next((tmp_path / "BOLD5000_Stimuli").rglob("repeated*")).unlink()
    with pytest.raises(StudyError, match="list of repeated pictures"):
        study(tmp_path).clips()
    with pytest.raises(StudyError, match="no subjects"):
        study(tmp_path / "BOLD5000_Stimuli").subjects()
