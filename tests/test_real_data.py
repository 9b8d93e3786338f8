"""Real recordings through the readers and the stages; skipped where they are not at hand.

Haxby et al. 2001 is laid out as BIDS derivatives, once for each run that is left out: that run is
the test run, the other eleven train. Its files are linked, not copied.
"""

from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest
import scipy.io
import yaml
from support.studies_on_disk import write_tsv

from brainflix.artifacts.store import read_strings
from brainflix.config.studies import CleaningConfig, ResponseConfig, SelectionConfig, StudySource
from brainflix.errors import StudyError
from brainflix.formats import images
from brainflix.formats.voxel_space import VoxelSpace
from brainflix.preprocessing.atlas import region_mask
from brainflix.preprocessing.clean import clean
from brainflix.preprocessing.extract import extract
from brainflix.preprocessing.select import select
from brainflix.studies.readers import open_study

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"


def needs(name):
    return pytest.mark.skipif(
        not (DATA / name).exists(), reason=f"no real data at ../shared/data/{name}"
    )


# Haxby et al. 2001: the voxels that recur identify the category in left-out runs

RUNS = range(1, 13)
DELAY, WINDOW = 5.0, 8  # the plateau of a block of 22.5 s, TR 2.5 s


def lay_out(root, left_out):
    """Link the twelve runs as derivatives in which one run is the test run."""
    func = root / "sub-001/func"
    func.mkdir(parents=True)
    source = DATA / "haxby2001/sub001/BOLD"
    first = nib.load(source / "task001_run001/bold_1slice.nii.gz")
    mask = np.asanyarray(first.dataobj).mean(axis=3) > 0
    nib.save(
        nib.Nifti1Image(mask.astype(np.uint8), first.affine),
        func / "sub-001_desc-brain_mask.nii.gz",
    )
    categories = set()
    for run in RUNS:
        task = "test" if run == left_out else "train"
        folder = source / f"task001_run{run:03d}"
        stem = f"sub-001_task-{task}_run-{run:02d}"
        (func / f"{stem}_desc-preproc_bold.nii.gz").symlink_to(folder / "bold_1slice.nii.gz")
        events = [line.split("\t") for line in (folder / "bold_events.tsv").read_text().split("\n")]
        rows = [(o, d, f"{c.strip()}-{task}") for o, d, c in (e for e in events[1:] if len(e) == 3)]
        categories |= {name for *_, name in rows}
        write_tsv(func / f"{stem}_events.tsv", ("onset", "duration", "trial_type"), rows)
    stimuli = [(name, name.rpartition("-")[2]) for name in sorted(categories)]
    write_tsv(root / "stimuli.tsv", ("clip", "split"), stimuli)
    return StudySource(root=str(root), options={"clip_column": "trial_type"}, links_to=(str(DATA),))


def nearest_category(train, labels, test):
    """Return the category whose mean training pattern correlates best with each test pattern."""
    names = sorted(set(labels))
    means = np.array([train[np.array(labels) == name].mean(axis=0) for name in names])
    r = np.corrcoef(np.vstack([means, test]))[len(names) :, : len(names)]
    return [names[best] for best in r.argmax(axis=1)]


def accuracy(responses, labels, train, voxels):
    values = responses[:, voxels]
    known = [label for label, is_train in zip(labels, train, strict=True) if is_train]
    asked = [label for label, is_train in zip(labels, train, strict=True) if not is_train]
    found = nearest_category(values[train], known, values[~train])
    return np.mean([a == b for a, b in zip(asked, found, strict=True)])


def one_fold(root, left_out):
    """Return accuracies of selected and of unselected voxels, and the number selected."""
    study = lay_out(root / "study", left_out)
    cleaned, voxels, responses = (root / f"{name}.h5" for name in "cvr")
    clean(study, "sub-001", CleaningConfig(detrend_order=2), cleaned)
    # five disjoint pairs of eleven runs leave 4 degrees of freedom: few voxels of 530 pass a
    # correction, and an uncorrected .01 ranks them; it is no claim about any single voxel
    options = SelectionConfig(correction="none", alpha=0.01, delay=DELAY, window=WINDOW)
    select(cleaned, options, voxels)
    everything = SelectionConfig(method="all", delay=DELAY, window=WINDOW)
    select(cleaned, everything, root / "a.h5")
    extract(cleaned, root / "a.h5", ResponseConfig(delay=DELAY, window=WINDOW), responses)
    with h5py.File(voxels) as file:
        selected = file["selected"][()]
        assert (file.attrs["dof"], file.attrs["unit"]) == (4, "pairs of repeats")
    with h5py.File(responses) as file:
        values = file["responses"][()].mean(axis=1)
        labels = [clip.rpartition("-")[0] for clip in read_strings(file["clip"])]
        train = np.array(read_strings(file["split"])) == "train"
    assert train.sum() == 88
    rng = np.random.default_rng(left_out)
    others = np.flatnonzero(~selected)
    count = int(selected.sum())
    unselected = np.mean(
        [
            accuracy(values, labels, train, rng.choice(others, count, replace=False))
            for _ in range(20)
        ]
    )
    return accuracy(values, labels, train, selected), unselected, count


@needs("haxby2001")
def test_voxels_selected_on_training_runs_identify_the_category_in_left_out_runs(tmp_path, capsys):
    folds = []
    for left_out in RUNS:
        (tmp_path / str(left_out)).mkdir()
        folds.append(one_fold(tmp_path / str(left_out), left_out))
    chosen, others, counts = np.array(folds).T
    with capsys.disabled():
        print(
            f"\nHaxby 2001, one slice, 8 categories, left-out runs: {chosen.mean():.3f} with "
            f"{counts.mean():.0f} selected voxels, {others.mean():.3f} with as many unselected "
            f"ones (chance .125); selected better in {(chosen > others).sum()} of 12 runs"
        )
    assert chosen.mean() > 0.4
    assert chosen.mean() > others.mean() + 0.1
    assert (chosen > others).sum() >= 10


# CIFTI


def cifti_study(root, file):
    """Link a CIFTI file as the one run of a study."""
    func = root / "sub-01/func"
    func.mkdir(parents=True)
    stem = "sub-01_task-rest_run-01"
    (func / f"{stem}_space-fsLR_den-32k_bold.dtseries.nii").symlink_to(DATA / "cifti" / file)
    write_tsv(func / f"{stem}_events.tsv", ("onset", "duration", "clip"), [(0, 1, "a")])
    write_tsv(root / "stimuli.tsv", ("clip", "split"), [("a", "train")])
    return open_study(StudySource(root=str(root), links_to=(str(DATA),)))


@needs("cifti")
def test_a_real_dtseries_is_read(tmp_path):
    study = cifti_study(tmp_path, "Conte69.MyelinAndCorrThickness.32k_fs_LR.dtseries.nii")
    (run,) = study.runs("sub-01")
    assert (run.n_volumes, run.repetition_time) == (2, 1.0)
    space = study.voxels("sub-01")
    # 32,492 vertices a hemisphere, without its medial wall
    assert space.shape == (60951,)
    assert [str(name) for name in dict.fromkeys(space.structure)] == [
        "CIFTI_STRUCTURE_CORTEX_LEFT",
        "CIFTI_STRUCTURE_CORTEX_RIGHT",
    ]
    assert space.vertex.max() < 32492
    rows = study.load(run)
    reference = nib.load(run.paths[0]).get_fdata()
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, reference, rtol=1e-6)
    assert 1 < rows[0].mean() < 3  # T1w/T2w ratio of cortex
    assert 2 < rows[1].mean() < 3.5  # mm of cortical thickness


@needs("cifti")
def test_a_real_cifti_1_file_is_refused_with_advice(tmp_path):
    study = cifti_study(tmp_path, "RSN-networks.32k_fs_LR.dlabel.nii")
    atlas = DATA / "cifti/RSN-networks.32k_fs_LR.dlabel.nii"
    space = VoxelSpace(np.zeros((1, 1), np.int32), (1,))
    for action in (
        lambda: study.runs("sub-01"),
        lambda: images.read_grayordinates(atlas, "fsLR"),
        lambda: region_mask(space, atlas, ()),
    ):
        with pytest.raises(StudyError) as caught:
            action()
        text = str(caught.value)
        assert "CIFTI-1" in text
        assert "wb_command -file-convert" in text
        assert "dtseries.nii" in text or "dlabel.nii" in text


# Digits: a study of arrays


def digits():
    raw = yaml.safe_load((Path(__file__).parents[0] / "configs/digits69.yaml").read_text())
    options = raw["studies"]["digits69"]["options"]
    root = DATA / "digits69/digit69_28x28.mat"
    return StudySource(reader="arrays", root=str(root), options=options)


@needs("digits69")
def test_digits_are_read_the_right_way_round():
    study = open_study(digits())
    clips = study.clips()
    assert [sum(clip.split == split for clip in clips) for split in ("train", "test")] == [90, 10]
    lower: dict[str, list[float]] = {"six": [], "nine": []}
    stored = scipy.io.loadmat(DATA / "digits69/digit69_28x28.mat")["stimTrn"]
    for clip in clips:
        picture = study.frames(clip)[0, ..., 0].astype(float)
        assert picture.shape == (28, 28)
        ink = picture > 64
        widths = [half.any(axis=0).sum() for half in (ink[:14], ink[14:])]
        lower[clip.attributes["digit"]].append(widths[1] - widths[0])
        assert clip.captions == (f"a handwritten {clip.attributes['digit']}",)
    np.testing.assert_array_equal(study.frames(clips[3])[0, ..., 1].ravel(order="F"), stored[3])
    # the loop, the wide half, is below in a six and above in a nine
    assert np.mean(lower["six"]) > 1
    assert np.mean(lower["nine"]) < -1


@needs("digits69")
def test_digits_go_through_the_stages_and_ridge_identifies_the_pictures(tmp_path, capsys):
    source = digits()
    cleaned, voxels, responses = (tmp_path / f"{name}.h5" for name in "cvr")
    clean(source, "sub-01", CleaningConfig(), cleaned)
    select(cleaned, SelectionConfig(method="all"), voxels)
    extract(cleaned, voxels, ResponseConfig(), responses)
    with h5py.File(responses) as file:
        values, clips = file["responses"][:, 0], read_strings(file["clip"])
        assert file["responses"].shape == (100, 1, 3092)
        assert file.attrs["trialwise"]
    train = np.array([clip.startswith("train") for clip in clips])
    np.testing.assert_allclose(values[train].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(values[train].std(axis=0), 1, atol=1e-5)
    study = open_study(source)
    pictures = {clip.id: study.frames(clip)[0, ..., 0].ravel() / 255.0 for clip in study.clips()}
    seen = np.array([pictures[clip] for clip in clips])
    folds = np.random.default_rng(0).permutation(90) % 10
    scores = [
        identification(ridge(values[:90], seen[:90], folds != fold), seen[:90][folds == fold])
        for fold in range(10)
    ]
    tested = identification(ridge(values, seen, train), seen[~train])
    with capsys.disabled():
        print(
            f"\nDigits, ridge from {values.shape[1]} voxels to pixels, pairwise identification: "
            f"{np.mean(scores):.3f} by 10-fold cross-validation of the training pictures, "
            f"{tested:.3f} on the 10 test pictures (chance .5)"
        )
    assert np.mean(scores) > 0.85
    assert tested > 0.7


def ridge(responses, pictures, train, alpha=3000.0):
    """Return pictures predicted for the other rows by ridge regression in its dual form."""
    x, y = responses[train].astype(float), pictures[train]
    mean = y.mean(axis=0)
    weights = np.linalg.solve(x @ x.T + alpha * np.eye(len(x)), y - mean)
    return mean + responses[~train].astype(float) @ x.T @ weights


def identification(predicted, true):
    """Return how often a prediction correlates more with its own picture than with another."""
    r = np.corrcoef(predicted, true)[: len(true), len(true) :]
    own = np.diag(r)[:, None]
    return ((own > r).sum() / (len(r) * (len(r) - 1))).item()
