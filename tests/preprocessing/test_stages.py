"""clean, select and extract on studies written to disk, with a known truth."""

import shutil
import tracemalloc
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest
import scipy.stats
from support.edited_artifacts import edited
from support.studies_on_disk import Plan, write_nifti, write_study, write_tsv

from brainflix.artifacts.store import create, open_artifact, read_strings
from brainflix.config.studies import CleaningConfig, ResponseConfig, SelectionConfig, StudySource
from brainflix.errors import ArtifactError, ConfigError, DataError, StudyError
from brainflix.preprocessing.clean import clean
from brainflix.preprocessing.extract import extract
from brainflix.preprocessing.select import select
from brainflix.studies.readers import open_study

CLEANING = CleaningConfig(detrend_order=2)
SELECTION = SelectionConfig(delay=4.0, window=1)
RESPONSE = ResponseConfig(delay=4.0, window=2)


def source(root, **options):
    return StudySource(root=str(root), options=options)


def run_stages(root, out, subject="sub-01", selection=SELECTION, **options):
    """Run the three stages and return their artifacts."""
    cleaned, voxels, responses = (out / f"{n}.h5" for n in ("cleaned", "voxels", "responses"))
    clean(source(root, **options), subject, CLEANING, cleaned)
    select(cleaned, selection, voxels)
    extract(cleaned, voxels, RESPONSE, responses)
    return cleaned, voxels, responses


def contents(path, where=lambda name: True):
    """Return every dataset and attribute of an artifact but its provenance."""
    found = {}
    with h5py.File(path) as file:

        def visit(name, item):
            if where(name):
                found.update({(name, key): np.asarray(value) for key, value in item.attrs.items()})
                if isinstance(item, h5py.Dataset):
                    found[name] = item[()]

        visit("", file)
        file.visititems(visit)
    found.pop(("", "inputs"), None)
    return found


def assert_same(first, second):
    assert first.keys() == second.keys()
    for key, value in first.items():
        if key == ("", "configuration"):
            continue
        np.testing.assert_array_equal(value, second[key], err_msg=str(key))


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    root = tmp_path_factory.mktemp("movie")
    plan = write_study(root, Plan(train_sets=6, videos=False))
    out = tmp_path_factory.mktemp("out")
    return root, plan, run_stages(root, out)


def truth(plan, subject="sub-01"):
    """Return which kept voxels follow the clips."""
    return plan.signal[subject][~plan.broken[subject]]


# clean


def test_cleaned_runs_are_standardized_and_broken_voxels_are_counted(movie):
    root, plan, (cleaned, _, _) = movie
    with open_artifact(cleaned, "cleaned") as file:
        assert len(file["runs"]) == 6 * 2 + 3
        assert (file.attrs["dropped_constant"], file.attrs["dropped_nonfinite"]) == (1, 1)
        assert file.attrs["n_voxels"] == len(truth(plan))
        assert not file.attrs["trialwise"]
        for run in file["runs"].values():
            rows = run["rows"][()]
            np.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-5)
            np.testing.assert_allclose(rows.std(axis=0), 1, atol=1e-5)
            assert run["rows"].dims[1].label == "voxel"
        run = file["runs/task-train_run-07"]
        assert (run.attrs["group"], run.attrs["repeat"], run.attrs["split"]) == (
            "seg01",
            1,
            "train",
        )
        assert read_strings(run["clip"])[3] == "seg01_03"
        assert run["onset"][3] == 10.0
        space = open_study(source(root)).voxels("sub-01")
        np.testing.assert_array_equal(file["position"][()], space.position[~plan.broken["sub-01"]])
        np.testing.assert_array_equal(file.attrs["affine"], np.diag([2.0, 2, 2, 1]))


def test_trimming_shifts_onsets_and_drops_volumes(movie, tmp_path):
    root, _, (cleaned, _, _) = movie
    options = CleaningConfig(detrend_order=0, trim_start=2, trim_end=1)
    clean(source(root), "sub-01", options, tmp_path / "c.h5")
    name = "runs/task-train_run-01"
    with h5py.File(cleaned) as before, h5py.File(tmp_path / "c.h5") as after:
        assert len(after[name]["rows"]) == len(before[name]["rows"]) - 3
        np.testing.assert_allclose(after[name]["onset"][()], before[name]["onset"][()] - 4.0)
    raw = open_study(source(root))
    run = next(r for r in raw.runs("sub-01") if r.id == name[5:])
    expected = scipy.stats.zscore(raw.load(run)[2:-1, 0].astype(np.float64))
    with h5py.File(tmp_path / "c.h5") as after:
        np.testing.assert_allclose(after[name]["rows"][:, 0], expected, atol=1e-5)
    with pytest.raises(DataError) as caught:
        clean(source(root), "sub-01", CleaningConfig(trim_start=5), tmp_path / "d.h5")
    assert "trimming cuts into a run's stimuli" in str(caught.value)
    assert not (tmp_path / "d.h5").exists()


def test_start_time_of_slice_timing_is_subtracted(movie, tmp_path):
    root = tmp_path / "s"
    shutil.copytree(movie[0], root)
    for path in (root / "sub-01/func").glob("*_bold.json"):
        path.write_text('{"RepetitionTime": 2.0, "StartTime": 0.97}')
    clean(source(root), "sub-01", CLEANING, tmp_path / "c.h5")
    with h5py.File(tmp_path / "c.h5") as file:
        assert file["runs/task-train_run-01/onset"][0] == pytest.approx(4.0 - 0.97)


def test_confounds_are_regressed(movie, tmp_path):
    root = movie[0]
    options = CleaningConfig(detrend_order=1, confounds=("trans_*",))
    clean(source(root), "sub-01", options, tmp_path / "c.h5")
    study = open_study(source(root))
    run = study.runs("sub-01")[0]
    motion = study.confounds(run, ["trans_x_derivative1"])[:, 0]
    with h5py.File(tmp_path / "c.h5") as file:
        rows = file[f"runs/{run.id}/rows"][()]
    residual = motion - np.polyval(
        np.polyfit(np.arange(len(motion)), motion, 1), np.arange(len(motion))
    )
    np.testing.assert_allclose(residual @ rows, 0, atol=1e-4)


def test_voxels_broken_in_a_later_training_run_are_cut_out_of_earlier_ones(movie, tmp_path):
    root = tmp_path / "s"
    shutil.copytree(movie[0], root)
    study = open_study(source(root))
    run = next(r for r in study.runs("sub-01") if r.id == "task-train_run-09")
    image = nib.load(run.paths[0])
    values = np.asanyarray(image.dataobj).copy()
    i, j, k = study.voxels("sub-01").position[5]
    values[i, j, k, 3] = np.inf
    nib.save(nib.Nifti1Image(values, image.affine, image.header), run.paths[0])
    clean(source(root), "sub-01", CLEANING, tmp_path / "c.h5")
    with h5py.File(movie[2][0]) as before, h5py.File(tmp_path / "c.h5") as after:
        assert after.attrs["dropped_voxels"] == before.attrs["dropped_voxels"] + 1
        for name in before["runs"]:
            expected = np.delete(before[f"runs/{name}/rows"][()], 5, axis=1)
            np.testing.assert_array_equal(after[f"runs/{name}/rows"][()], expected)
        np.testing.assert_array_equal(after["position"], np.delete(before["position"], 5, axis=0))


def test_a_run_without_any_usable_voxel_is_named(movie, tmp_path):
    root = tmp_path / "s"
    shutil.copytree(movie[0], root)
    path = next((root / "sub-01/func").glob("*train_run-03*desc-preproc_bold.nii.gz"))
    image = nib.load(path)
    nib.save(nib.Nifti1Image(np.zeros(image.shape, np.float32), image.affine, image.header), path)
    with pytest.raises(DataError) as caught:
        clean(source(root), "sub-01", CLEANING, tmp_path / "c.h5")
    assert "task-train_run-03" in str(caught.value)


def test_cleaning_holds_one_run_at_a_time(tmp_path, monkeypatch):
    """The peak of six runs is that of two: nothing keeps earlier runs."""
    monkeypatch.setattr("brainflix.preprocessing.nuisance.BLOCK", 256)
    peaks = []
    mask = np.ones((20, 20, 10), bool)
    rows = np.random.default_rng(0).standard_normal((200, mask.sum())).astype(np.float32)
    for count in (2, 6):
        root = tmp_path / str(count)
        func = root / "sub-01/func"
        func.mkdir(parents=True)
        (root / "stimuli").mkdir()
        write_tsv(root / "stimuli.tsv", ("stim_file", "split"), [("a.mp4", "train")])
        (root / "stimuli/a.mp4").touch()
        brain = nib.Nifti1Image(mask.astype(np.uint8), np.diag([2.0, 2, 2, 1]))
        nib.save(brain, func / "sub-01_space-T1w_desc-brain_mask.nii.gz")
        for run in range(count):
            stem = f"sub-01_task-x_run-{run + 1:02d}"
            write_nifti(func / f"{stem}_space-T1w_desc-preproc_bold.nii", rows, mask, 2.0)
            columns = ("onset", "duration", "stim_file")
            write_tsv(func / f"{stem}_events.tsv", columns, [(4, 2, "a.mp4")])
        tracemalloc.start()
        clean(source(root), "sub-01", CLEANING, tmp_path / f"{count}.h5")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]
    assert peaks[0] < 3 * rows.nbytes


# select


def test_selection_finds_the_voxels_that_follow_the_clips(movie):
    _, plan, (_, voxels, _) = movie
    with open_artifact(voxels, "voxels") as file:
        selected = file["selected"][()]
        assert file.attrs["dof"] == 5
        assert file.attrs["unit"] == "sets of clips"
        assert file.attrs["n_selected"] == selected.sum()
        passing = file["t"][()] >= file.attrs["threshold"] - 1e-9
        np.testing.assert_array_equal(selected, passing)
        ceiling = file["noise_ceiling"][()]
    known = truth(plan)
    assert selected[known].mean() > 0.9
    assert selected[~known].mean() < 0.1
    assert ceiling[known].mean() > ceiling[~known].mean() + 0.3


def test_the_statistic_is_that_of_scipy_on_whole_time_courses(movie):
    """With a window of one volume, the responses of a movie are its time course."""
    _, _, (cleaned, voxels, _) = movie
    with h5py.File(cleaned) as file:
        z = []
        for number in range(1, 7):
            a, b = (
                file[f"runs/task-train_run-{n:02d}/rows"][4:16].astype("f8")
                for n in (number, number + 6)
            )
            r = [scipy.stats.pearsonr(x, y)[0] for x, y in zip(a.T, b.T, strict=True)]
            z.append(np.arctanh(r))
    expected = scipy.stats.ttest_1samp(np.array(z), 0, alternative="greater")
    with h5py.File(voxels) as file:
        np.testing.assert_allclose(file["t"][()], expected.statistic, rtol=1e-5)
        np.testing.assert_allclose(file["p"][()], expected.pvalue, rtol=1e-4)
        np.testing.assert_allclose(
            file["reproducibility"][()], np.tanh(np.mean(z, axis=0)), rtol=1e-5, atol=1e-6
        )


def test_event_related_clips_are_matched_whatever_their_order(tmp_path):
    plan = write_study(
        tmp_path / "s",
        Plan(
            kind="event_related", train_sets=5, train_repeats=3, repetition_time=1.0, videos=False
        ),
    )
    _, voxels, responses = run_stages(tmp_path / "s", tmp_path)
    known = truth(plan)
    with h5py.File(voxels) as file:
        assert file.attrs["dof"] == 4
        assert file["selected"][()][known].mean() > 0.9
        assert file["selected"][()][~known].mean() < 0.1
    with h5py.File(responses) as file:
        clips, split = read_strings(file["clip"]), read_strings(file["split"])
        repeat = file["repeat"][()]
        assert sorted(repeat[[i for i, c in enumerate(clips) if c == "seg03_07"]]) == [0, 1, 2]
        assert split.count("train") == 5 * 12 * 3


def test_repeats_spread_over_other_runs_are_found(tmp_path):
    """Runs that mix the clips of others: sets are those of the first presentations."""
    rng = np.random.default_rng(3)
    root, func = tmp_path / "s", tmp_path / "s/sub-01/func"
    func.mkdir(parents=True)
    (root / "stimuli").mkdir()
    mask = np.ones((5, 5, 4), bool)
    names = [f"c{k:02d}" for k in range(30)]
    for name in names:
        (root / f"stimuli/{name}.mp4").touch()
    write_tsv(root / "stimuli.tsv", ("stim_file", "split"), [(f"{n}.mp4", "train") for n in names])
    drive = dict(zip(names, rng.standard_normal((30, 100)), strict=True))
    order = [*names, *rng.permutation(names), *rng.permutation(names)]
    brain = nib.Nifti1Image(mask.astype(np.uint8), np.diag([2.0, 2, 2, 1]))
    nib.save(brain, func / "sub-01_space-T1w_desc-brain_mask.nii.gz")
    for run, start in enumerate(range(0, 90, 10)):
        rows = 0.7 * rng.standard_normal((70, 100))
        shown = order[start : start + 10]
        for k, name in enumerate(shown):
            rows[6 * k + 4, :50] += drive[name][:50]
        stem = f"sub-01_task-x_run-{run + 1:02d}"
        write_nifti(
            func / f"{stem}_space-T1w_desc-preproc_bold.nii.gz", rows.astype("f4"), mask, 1.0
        )
        events = [(6 * k, 2, f"{name}.mp4") for k, name in enumerate(shown)]
        write_tsv(func / f"{stem}_events.tsv", ("onset", "duration", "stim_file"), events)
    selection = SelectionConfig(delay=4.0, window=1, correction="none")
    _, voxels, _ = run_stages(root, tmp_path, selection=selection)
    with h5py.File(voxels) as file:
        assert file.attrs["dof"] == 2  # three sets, those of the first three runs
        assert file["reproducibility"][:50].mean() > 0.4
        assert abs(file["reproducibility"][50:].mean()) < 0.1


def test_many_repeats_of_one_set_are_judged_by_disjoint_pairs(tmp_path):
    plan = write_study(tmp_path / "s", Plan(train_sets=1, train_repeats=9, videos=False))
    cleaned, voxels, _ = run_stages(tmp_path / "s", tmp_path)
    with h5py.File(cleaned) as file:
        rows = [file[f"runs/task-train_run-{n:02d}/rows"][4:16].astype("f8") for n in range(1, 10)]
    z = [
        np.arctanh([scipy.stats.pearsonr(x, y)[0] for x, y in zip(a.T, b.T, strict=True)])
        for a, b in zip(rows[0:8:2], rows[1:8:2], strict=True)
    ]
    expected = scipy.stats.ttest_1samp(np.array(z), 0, alternative="greater")
    with h5py.File(voxels) as file:
        assert (file.attrs["dof"], file.attrs["unit"]) == (3, "pairs of repeats")
        np.testing.assert_allclose(file["t"][()], expected.statistic, rtol=1e-5)
        assert file["selected"][()][truth(plan)].mean() > 0.5


def test_one_repeat_only_cannot_be_judged(tmp_path):
    write_study(tmp_path / "s", Plan(train_repeats=1, videos=False, subjects=("sub-01",)))
    with pytest.raises(DataError) as caught:
        run_stages(tmp_path / "s", tmp_path)
    text = str(caught.value)
    assert "too few training repeats" in text
    assert "one repeat only" in text
    assert "method to all" in text
    assert not (tmp_path / "voxels.h5").exists()
    everything = SelectionConfig(method="all")
    _, voxels, responses = run_stages(tmp_path / "s", tmp_path, selection=everything)
    with h5py.File(voxels) as file, h5py.File(responses) as rows:
        assert file["selected"][()].all()
        assert np.isnan(file["t"][()]).all()
        assert rows["responses"].shape[2] == len(file["selected"])
    select(tmp_path / "cleaned.h5", everything, tmp_path / "v.h5", tmp_path / "v.png")
    assert (tmp_path / "v.png").read_bytes()[:4] == b"\x89PNG"


def test_a_repeat_that_one_set_lacks_is_tolerated(movie, tmp_path):
    root = tmp_path / "s"
    shutil.copytree(movie[0], root)
    for path in (root / "sub-01/func").glob("*task-train_run-12_*"):
        path.unlink()
    options = {"ignore_runs": ["task-train_run-12"]}
    _, voxels, responses = run_stages(root, tmp_path, **options)
    with h5py.File(voxels) as file, h5py.File(responses) as rows:
        assert file.attrs["dof"] == 4
        assert len(rows["clip"]) == 11 * 12 + 3 * 12


def test_nothing_reproducible_is_an_error(tmp_path):
    write_study(tmp_path / "s", Plan(noise=1e4, videos=False, subjects=("sub-01",)))
    with pytest.raises(DataError) as caught:
        run_stages(tmp_path / "s", tmp_path, selection=SelectionConfig(correction="bonferroni"))
    assert "no voxel responds reproducibly" in str(caught.value)
    assert "smallest P" in str(caught.value)


def test_an_atlas_restricts_what_is_tested(movie, tmp_path):
    cleaned, voxels, _ = movie[2]
    labels = np.zeros((6, 5, 4), np.int16)
    labels[0], labels[1], labels[4:] = 3, 7, 9
    nib.save(nib.Nifti1Image(labels, np.diag([2.0, 2, 2, 1])), tmp_path / "a_dseg.nii.gz")
    write_tsv(tmp_path / "a_dseg.tsv", ("index", "name"), [(3, "V1"), (7, "V2"), (9, "far")])
    choose = lambda **k: SelectionConfig(  # noqa: E731
        delay=4.0, window=1, atlas=str(tmp_path / "a_dseg.nii.gz"), **k
    )
    out = tmp_path / "v.h5"
    select(cleaned, choose(regions=("V1", 7)), out)
    with h5py.File(out) as file, h5py.File(voxels) as whole:
        inside = whole["position"][:, 0] <= 1
        assert file.attrs["n_tested"] == inside.sum()
        assert not file["selected"][()][~inside].any()
        assert file["selected"][()].any()
        np.testing.assert_array_equal(file["t"][()], whole["t"][()])
    select(cleaned, choose(regions=("V1",), method="all"), out)
    with h5py.File(out) as file:
        np.testing.assert_array_equal(file["selected"][()], file["position"][:, 0] == 0)
    for regions, words in ((("V4",), "V1, V2, far"), (("far",), "no voxel of the subject")):
        with pytest.raises(ConfigError, match=words):
            select(cleaned, choose(regions=regions), out)
    with pytest.raises(ConfigError, match="without an atlas"):
        select(cleaned, SelectionConfig(regions=("V1",)), out)
    nib.save(nib.Nifti1Image(labels[:5], np.diag([2.0, 2, 2, 1])), tmp_path / "a_dseg.nii.gz")
    with pytest.raises(StudyError, match="another shape"):
        select(cleaned, choose(), out)


def test_a_cifti_study_and_its_atlas(tmp_path):
    plan = write_study(tmp_path / "s", Plan(cifti=True, videos=False, subjects=("sub-01",)))
    cleaned, voxels, _ = run_stages(tmp_path / "s", tmp_path)
    with h5py.File(voxels) as file:
        assert file["position"].shape[1] == 1
        assert file["selected"][()][truth(plan)].mean() > 0.7
        vertices = file["vertex"][()]
        structure = file["structure"].asstr()[()]
    # an atlas of the left hemisphere alone, over other vertices than the data
    labels = np.where(np.arange(90) < 10, 1, 2)[None].astype(np.float32)
    axis = nib.cifti2.BrainModelAxis.from_surface(np.arange(90), 100, "CIFTI_STRUCTURE_CORTEX_LEFT")
    table = {0: ("???", (0, 0, 0, 0)), 1: ("V1", (1, 0, 0, 1)), 2: ("V2", (0, 1, 0, 1))}
    image = nib.Cifti2Image(labels, (nib.cifti2.LabelAxis(["areas"], table), axis))
    nib.save(image, tmp_path / "a.dlabel.nii")
    options = SelectionConfig(method="all", atlas=str(tmp_path / "a.dlabel.nii"), regions=("V1",))
    select(cleaned, options, tmp_path / "v.h5")
    with h5py.File(tmp_path / "v.h5") as file:
        expected = (structure == "CIFTI_STRUCTURE_CORTEX_LEFT") & (vertices < 10)
        np.testing.assert_array_equal(file["selected"][()], expected)


def test_the_plot_shows_a_volume_and_is_the_same_each_time(movie, tmp_path):
    cleaned = movie[2][0]
    for name in "ab":
        select(cleaned, SELECTION, tmp_path / f"{name}.h5", tmp_path / f"{name}.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    from PIL import Image

    width, height = Image.open(tmp_path / "a.png").size
    assert width > 800
    assert height > 500


# extract


def test_responses_are_the_rows_at_the_delay(movie):
    _, _, (cleaned, voxels, responses) = movie
    with h5py.File(cleaned) as rows, h5py.File(voxels) as v, h5py.File(responses) as file:
        chosen = np.flatnonzero(v["selected"][()])
        np.testing.assert_array_equal(file["voxel"][()], chosen)
        assert file["responses"].chunks is None
        runs, clips = read_strings(file["run"]), read_strings(file["clip"])
        assert file["responses"].shape == (len(clips), 2, len(chosen))
        trial = next(
            i for i, c in enumerate(clips) if (runs[i], c) == ("task-train_run-08", "seg02_05")
        )
        assert file["repeat"][trial] == 1
        start = (4 + 2 * 5 + 4) // 2
        expected = rows["runs/task-train_run-08/rows"][start : start + 2][:, chosen]
        np.testing.assert_array_equal(file["responses"][trial], expected)
        splits = np.array(read_strings(file["split"]))
        assert (splits[[r.startswith("task-test") for r in runs]] == "test").all()


@pytest.mark.parametrize(("tr", "delay"), [(2.0, 4.0), (1.75, 5.25), (0.8, 4.8)])
def test_a_delayed_impulse_is_found_in_the_first_volume_of_the_window(tmp_path, tr, delay):
    root, func = tmp_path / "s", tmp_path / "s/sub-01/func"
    func.mkdir(parents=True)
    (root / "stimuli").mkdir()
    onsets = [8 * tr, 20 * tr, 40 * tr]
    for k in range(3):
        (root / f"stimuli/c{k}.mp4").touch()
    write_tsv(
        root / "stimuli.tsv", ("stim_file", "split"), [(f"c{k}.mp4", "train") for k in range(3)]
    )
    rows = np.random.default_rng(0).standard_normal((60, 8)).astype(np.float32)
    for onset in onsets:
        rows[round((onset + delay) / tr)] += 100
    stem = "sub-01_task-x_run-01"
    mask = np.ones((2, 2, 2), bool)
    write_nifti(func / f"{stem}_space-T1w_desc-preproc_bold.nii.gz", rows, mask, tr)
    nib.save(
        nib.Nifti1Image(mask.astype(np.uint8), np.diag([2.0, 2, 2, 1])),
        func / f"{stem}_space-T1w_desc-brain_mask.nii.gz",
    )
    events = [(f"{onset:.4f}", 1, f"c{k}.mp4") for k, onset in enumerate(onsets)]
    write_tsv(func / f"{stem}_events.tsv", ("onset", "duration", "stim_file"), events)
    for trim in (0, 5):
        clean(
            source(root),
            "sub-01",
            CleaningConfig(trim_start=trim, detrend_order=0),
            tmp_path / "c.h5",
        )
        select(tmp_path / "c.h5", SelectionConfig(method="all"), tmp_path / "v.h5")
        options = ResponseConfig(delay=delay, window=3)
        extract(tmp_path / "c.h5", tmp_path / "v.h5", options, tmp_path / "r.h5")
        with h5py.File(tmp_path / "r.h5") as file:
            values = file["responses"][()]
        assert (values[:, 0] > 3).all()
        assert (values[:, 1:] < 1).all()


def test_windows_at_a_runs_end_repeat_its_last_volume_and_are_counted(tmp_path):
    plan = write_study(tmp_path / "s", Plan(tail=2.0, videos=False, subjects=("sub-01",)))
    cleaned, voxels, responses = run_stages(tmp_path / "s", tmp_path)
    with h5py.File(responses) as file, h5py.File(cleaned) as rows, h5py.File(voxels) as v:
        # 15 volumes; the last clip starts at 26 s, its window at volume 15: beyond the end
        assert file.attrs["clamped_trials"] == 2 * (4 * plan.train_repeats + plan.test_repeats)
        last = rows["runs/task-train_run-01/rows"][14][v["selected"][()]]
        clips, runs = read_strings(file["clip"]), read_strings(file["run"])
        trial = next(
            i for i, c in enumerate(clips) if c == "seg01_11" and runs[i] == "task-train_run-01"
        )
        np.testing.assert_array_equal(file["responses"][trial], [last, last])


def test_artifacts_that_do_not_belong_together(movie, tmp_path):
    root, _, (_, voxels, _) = movie
    clean(source(root), "sub-02", CLEANING, tmp_path / "c.h5")
    with pytest.raises(ArtifactError, match="belong to other runs"):
        extract(tmp_path / "c.h5", voxels, RESPONSE, tmp_path / "r.h5")
    assert not (tmp_path / "r.h5").exists()


def test_a_subject_without_training_runs(movie, tmp_path):
    root = tmp_path / "s"
    shutil.copytree(movie[0], root)
    for path in (root / "sub-01").rglob("*task-train*"):
        path.unlink()
    (root / "sub-01/sub-01_scans.tsv").unlink()
    with pytest.raises(DataError) as caught:
        clean(source(root), "sub-01", CLEANING, tmp_path / "c.h5")
    assert "no training trials" in str(caught.value)
    assert "3 test runs" in str(caught.value)
    cleaned, voxels, _ = movie[2]
    test_only = tmp_path / "t.h5"
    with open_artifact(cleaned, "cleaned") as file, create(test_only, "cleaned") as out:
        file.copy("position", out)
        out.attrs.update(subject="sub-01", trialwise=False, space="", shape=file.attrs["shape"])
        for name, run in file["runs"].items():
            if run.attrs["split"] == "test":
                file.copy(run, out.require_group("runs"), name)
    for action in (
        lambda: extract(test_only, voxels, RESPONSE, tmp_path / "r.h5"),
        lambda: select(test_only, SELECTION, tmp_path / "v.h5"),
    ):
        with pytest.raises(DataError, match="no training trials"):
            action()


# Trial-wise studies


def write_betas(root, **changes):
    rng = np.random.default_rng(1)
    drive = 2 * rng.standard_normal((48, 1, 30))
    train = 5 + 3 * (drive * (np.arange(30) < 15) + rng.standard_normal((48, 2, 30)))
    train[..., 29] = 2.5
    test = 5 + 3 * rng.standard_normal((6, 30))
    arrays = {"train": train, "test": test, "a": np.zeros((48, 4)), "b": np.zeros((6, 4))}
    np.savez(root, **{**arrays, **changes})
    options = {
        "subjects": {"sub-01": {"train": {"responses": "train"}, "test": {"responses": "test"}}},
        "stimuli": {"train": "a", "test": "b"},
        "picture": {"height": 2, "width": 2},
        "clips_per_group": 6,
    }
    return StudySource(reader="arrays", root=str(root), options=options), train, test


def test_betas_are_scaled_by_training_statistics_and_read_without_a_delay(tmp_path):
    study, train, test = write_betas(tmp_path / "b.npz")
    clean(study, "sub-01", CLEANING, tmp_path / "c.h5")
    select(tmp_path / "c.h5", SelectionConfig(), tmp_path / "v.h5")
    extract(tmp_path / "c.h5", tmp_path / "v.h5", RESPONSE, tmp_path / "r.h5")
    flat = train.reshape(-1, 30)[:, :29]
    with h5py.File(tmp_path / "c.h5") as file:
        assert file.attrs["trialwise"]
        assert file.attrs["dropped_constant"] == 1
        np.testing.assert_allclose(file["training/mean"][()], flat.mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(file["training/deviation"][()], flat.std(axis=0), rtol=1e-6)
        expected = (test[:, :29] - flat.mean(axis=0)) / flat.std(axis=0)
        (name,) = [n for n, run in file["runs"].items() if run.attrs["split"] == "test"]
        np.testing.assert_allclose(file[f"runs/{name}/rows"][()], expected, atol=1e-5)
    with h5py.File(tmp_path / "v.h5") as file, h5py.File(tmp_path / "r.h5") as rows:
        assert file.attrs["dof"] == 7  # eight sets of six clips
        chosen = np.flatnonzero(file["selected"][()])
        assert 0 < (chosen < 15).sum() == len(chosen)
        assert rows["responses"].shape == (102, 1, len(chosen))
        assert rows.attrs["delay"] == 0
        assert rows.attrs["clamped_trials"] == 0
        clips, repeats = read_strings(rows["clip"]), rows["repeat"][()]
        trial = next(i for i, c in enumerate(clips) if c == "train-0011" and repeats[i] == 1)
        expected = (train[10, 1, chosen] - flat.mean(axis=0)[chosen]) / flat.std(axis=0)[chosen]
        np.testing.assert_allclose(rows["responses"][trial, 0], expected, atol=1e-5)


# Everything fitted is fitted on training runs alone


def spoil_test_runs(root, subject="sub-01"):
    """Overwrite the test runs by noise, with constant and infinite voxels of their own."""
    rng = np.random.default_rng(99)
    for path in (root / subject / "func").glob("*task-test*_bold.nii.gz"):
        image = nib.load(path)
        values = rng.standard_normal(image.shape).astype(np.float32) * 1e3
        values[0], values[1, 2, 2] = 7.0, np.inf
        nib.save(nib.Nifti1Image(values, image.affine, image.header), path)


def test_nothing_fitted_depends_on_test_runs(movie, tmp_path):
    root = tmp_path / "s"
    shutil.copytree(movie[0], root)
    spoil_test_runs(root)
    cleaned, voxels, responses = run_stages(root, tmp_path)
    before_cleaned, before_voxels, before_responses = movie[2]
    assert_same(contents(before_voxels), contents(voxels))
    training = lambda name: "task-test" not in name  # noqa: E731
    assert_same(contents(before_cleaned, training), contents(cleaned, training))
    with h5py.File(before_responses) as a, h5py.File(responses) as b:
        train = np.array(read_strings(a["split"])) == "train"
        for name in a:
            if name != "voxel":
                np.testing.assert_array_equal(a[name][()][train], b[name][()][train])
        assert a["responses"][()][train].tobytes() == b["responses"][()][train].tobytes()
        assert (a["responses"][()][~train] != b["responses"][()][~train]).any()
        assert np.isfinite(b["responses"][()]).all()
    with h5py.File(cleaned) as file:
        assert file["runs/task-test_run-01"].attrs["filled_voxels"] > 1
        assert file["runs/task-train_run-01"].attrs["filled_voxels"] == 0


def test_nothing_fitted_depends_on_test_betas(tmp_path):
    study, _, test = write_betas(tmp_path / "b.npz")
    spoiled = test * 100 - 3
    spoiled[2, 4], spoiled[:, 5] = np.nan, 1.0
    for name, values in (("a", test), ("b", spoiled)):
        write_betas(tmp_path / "b.npz", test=values)
        out = tmp_path / name
        out.mkdir()
        clean(study, "sub-01", CLEANING, out / "c.h5")
        select(out / "c.h5", SelectionConfig(), out / "v.h5")
        extract(out / "c.h5", out / "v.h5", RESPONSE, out / "r.h5")
    assert_same(contents(tmp_path / "a/v.h5"), contents(tmp_path / "b/v.h5"))
    with h5py.File(tmp_path / "a/r.h5") as a, h5py.File(tmp_path / "b/r.h5") as b:
        train = np.array(read_strings(a["split"])) == "train"
        assert a["responses"][()][train].tobytes() == b["responses"][()][train].tobytes()
        assert (a["responses"][()][~train] != b["responses"][()][~train]).any()


def test_the_same_files_give_the_same_bytes(movie, tmp_path):
    artifacts = run_stages(movie[0], tmp_path)
    assert Path(artifacts[0]).read_bytes() == Path(movie[2][0]).read_bytes()


def test_helpers_of_this_file_can_fail(movie, tmp_path):
    """The comparison notices a changed value."""
    copy = tmp_path / "v.h5"
    shutil.copy(movie[2][1], copy)
    with edited(copy) as file:
        file["t"][0] += 1
    with pytest.raises(AssertionError):
        assert_same(contents(movie[2][1]), contents(copy))
