"""What the simulated brain sees, and where."""

import numpy as np
import pytest
from scipy.ndimage import label

from brainflix.config.studies import SimulationConfig
from brainflix.errors import DataError
from brainflix.simulation import brain as brains
from brainflix.simulation import features
from brainflix.simulation.world import LABELS, sample_scenes

MAPS = (*features.CHANNELS, *features.FLOWS)


def moving(path, size=64, frames=8):
    """A clip of a bright textured disc on grey whose pose path(k) = (x, y, radius, angle)."""
    rows, columns = np.mgrid[:size, :size] + 0.5
    clip = np.full((frames, size, size, 3), 90.0)
    for k in range(frames):
        x, y, radius, angle = path((k + 0.5) / frames - 0.5)
        dx, dy = columns - x, rows - y
        turned = np.arctan2(dy, dx) - angle
        edge = 1 / (1 + np.exp((np.hypot(dx, dy) - radius) / 1.5))
        clip[k] += (edge * (90 + 60 * np.cos(2 * turned)))[..., None]
    return np.rint(clip).astype(np.uint8)


def totals(clip):
    maps = features.local_maps(clip[None])[0]
    return dict(zip(MAPS, maps.sum(axis=(1, 2)), strict=True))


def test_a_grey_still_clip_drives_nothing_but_luminance():
    maps = features.local_maps(np.full((2, 4, 64, 64, 3), 128, dtype=np.uint8))
    assert maps.shape == (2, len(MAPS), features.GRID, features.GRID)
    assert np.allclose(maps[:, 0], 2 * 128 / 255 - 1, atol=1e-5)
    assert np.allclose(maps[:, 1:], 0, atol=1e-3)


@pytest.mark.parametrize(
    ("dx", "dy", "name", "opposite"),
    [
        (20, 0, "rightward", "leftward"),
        (-20, 0, "leftward", "rightward"),
        (0, 20, "downward", "upward"),
        (0, -20, "upward", "downward"),
    ],
)
def test_motion_energy_tells_the_direction(dx, dy, name, opposite):
    seen = totals(moving(lambda t: (32 + dx * t, 32 + dy * t, 11, 0)))
    assert seen[name] > 4 * seen[opposite]
    assert max(seen, key=lambda key: seen[key] if key in features.CHANNELS[4:] else -1) == name


@pytest.mark.parametrize(
    ("path", "name", "opposite"),
    [
        (lambda t: (32, 32, 13 * 1.5 ** (2 * t), 0), "expansion", "contraction"),
        (lambda t: (32, 32, 13 * 1.5 ** (-2 * t), 0), "contraction", "expansion"),
        (lambda t: (32, 32, 13, 1.2 * t), "clockwise", "counterclockwise"),
        (lambda t: (32, 32, 13, -1.2 * t), "counterclockwise", "clockwise"),
    ],
)
def test_flow_maps_tell_expansion_and_rotation(path, name, opposite):
    maps = dict(zip(MAPS, features.local_maps(moving(path)[None])[0], strict=True))
    middle = slice(features.GRID // 2 - 2, features.GRID // 2 + 2)
    assert maps[name][middle, middle].mean() > 3 * maps[opposite][middle, middle].mean()


def test_colour_opponency_has_a_sign_and_a_place():
    clip = np.zeros((1, 2, 64, 64, 3), dtype=np.uint8)
    clip[:, :, :, :32] = (200, 60, 60)  # red on the left
    clip[:, :, :, 32:] = (40, 60, 200)  # blue on the right
    maps = dict(zip(MAPS, features.local_maps(clip)[0], strict=True))
    assert np.allclose(maps["red_green"][:, :8], 140 / 255, atol=1e-5)
    assert np.allclose(maps["blue_yellow"][:, 8:], 150 / 255, atol=1e-5)
    assert (maps["contrast"][:, 7:9] > 5 * maps["contrast"][:, :1]).all()


@pytest.mark.parametrize("shape", [(8, 64, 64, 3), (1, 1, 64, 64, 3), (1, 8, 60, 64, 3)])
def test_clips_of_another_shape_are_refused(shape):
    with pytest.raises(DataError, match="clips of another"):
        features.local_maps(np.zeros(shape, dtype=np.uint8))


def test_labels_are_one_hot_an_attribute():
    scenes = sample_scenes(30, np.random.default_rng(0), held_out=None)
    codes = features.labels(scenes)
    assert codes.shape == (30, sum(len(values) for values in LABELS.values()))
    levels = features.levels()
    for scene, row in zip(scenes, codes, strict=True):
        named = {levels[k] for k in np.flatnonzero(row)}
        assert named == set(scene.attributes().items())


@pytest.mark.parametrize("seed", range(3))
def test_areas_are_contiguous_and_brains_differ_in_size(seed):
    anatomy = brains.draw_anatomy(2400, np.random.default_rng(seed))
    count = len(anatomy.area)
    assert 0.84 * 2400 - 1 <= count <= 1.2 * 2400 + 1
    assert np.array_equal(anatomy.position, np.argwhere(anatomy.mask()))
    for index in range(len(brains.AREAS)):
        volume = np.zeros(anatomy.shape, dtype=bool)
        volume[tuple(anatomy.position[anatomy.area == index].T)] = True
        pieces, n = label(volume)
        sizes = np.sort(np.bincount(pieces[volume], minlength=n + 1)[1:])[::-1]
        # The areas at the sides have a part in each hemisphere.
        assert sizes[:2].sum() >= 0.93 * sizes.sum(), brains.AREAS[index]
        assert sizes.sum() > 0.04 * count
    early = anatomy.coordinates()[anatomy.area == brains.AREAS.index("early"), 1]
    assert early.max() < 0  # at the back


def test_the_smallest_brain_has_every_area():
    anatomy = brains.draw_anatomy(64, np.random.default_rng(0))
    assert set(anatomy.area) == set(range(len(brains.AREAS)))


def test_the_middle_of_the_grid_is_the_origin():
    anatomy = brains.draw_anatomy(300, np.random.default_rng(0))
    middle = (np.array(anatomy.shape) - 1) / 2
    assert np.allclose(anatomy.affine() @ [*middle, 1], [0, 0, 0, 1])


def test_a_receptive_field_is_a_gaussian_at_its_place():
    tuning = brains.Tuning(
        field=np.array([[0.25, 0.5, 0.1], [0.75, 0.5, 0.1]]),
        local=np.zeros((2, 2, len(MAPS))),
        rectified=np.zeros(2, dtype=bool),
        labels=np.zeros((2, len(features.levels()))),
    )
    tuning.local[0, :, MAPS.index("luminance")] = 1.0
    n = features.GRID
    maps = np.zeros((n * n, len(MAPS), n, n), dtype=np.float32)
    maps[:, 0] = np.eye(n * n).reshape(-1, n, n)  # a point of light at each place
    maps += np.random.default_rng(0).normal(0, 1e-9, maps.shape).astype(np.float32)
    codes = np.zeros((n * n, len(features.levels())), dtype=np.float32)
    drive = brains.neural_drive(tuning, maps, codes, np.ones(n * n, dtype=bool))
    centre = (np.arange(n) + 0.5) / n
    for voxel, (x, y, width) in enumerate(tuning.field):
        distance = (centre[None, :] - x) ** 2 + (centre[:, None] - y) ** 2
        expected = np.exp(-distance / (2 * width**2)).ravel()
        expected = (expected - expected.mean()) / expected.std()
        assert np.allclose(drive[:, voxel], expected, atol=1e-3)


@pytest.fixture(scope="module")
def subject():
    scenes = sample_scenes(120, np.random.default_rng(1))
    brain = brains.draw_brain(SimulationConfig(voxels=500), "sub-01")
    training = np.arange(120) < 90
    codes = features.labels(scenes)
    drive = brains.neural_drive(brain.tuning, features.scene_maps(scenes), codes, training)
    return scenes, brain, drive, training


def test_drive_is_standardised_over_training_clips(subject):
    _, brain, drive, training = subject
    driven = brain.tuning.driven
    assert np.allclose(drive[training].mean(axis=0), 0, atol=1e-6)
    assert np.allclose(drive[training][:, driven].std(axis=0), 1, atol=1e-5)
    assert np.array_equal(driven, brain.anatomy.area != brains.AREAS.index("non_visual"))
    assert not drive[:, ~driven].any()
    assert np.array_equal(brain.physics.amplitude > 0, driven)


@pytest.mark.parametrize(
    ("area", "names"),
    [("what", ("object", "colour")), ("action", ("motion",)), ("place", ("background",))],
)
def test_semantic_voxels_see_labels_and_nothing_else(subject, area, names):
    scenes, brain, drive, _ = subject
    voxels = drive[:, brain.anatomy.area == brains.AREAS.index(area)]
    early = drive[:, brain.anatomy.area == brains.AREAS.index("early")]
    first: dict[tuple[str, ...], int] = {}
    pairs = 0
    for k, scene in enumerate(scenes):
        key = tuple(scene.attributes()[name] for name in names)
        other = first.setdefault(key, k)
        if other != k:
            pairs += 1
            assert np.allclose(voxels[k], voxels[other], atol=2e-6)
            assert not np.allclose(early[k], early[other], atol=0.1)
        else:
            assert all(np.abs(voxels[k] - voxels[j]).max() > 0.1 for j in first.values() if j != k)
    assert pairs > 20


def test_each_side_of_the_brain_sees_the_other_side(subject):
    _, brain, _, _ = subject
    early = brain.anatomy.area == brains.AREAS.index("early")
    right = brain.anatomy.coordinates()[early, 0] > 0.05
    left = brain.anatomy.coordinates()[early, 0] < -0.05
    column = brain.tuning.field[early, 0]
    assert (column[right] < 0.5).mean() > 0.9
    assert (column[left] > 0.5).mean() > 0.9


def test_a_brain_depends_on_options_and_label_alone():
    options = SimulationConfig(voxels=300)
    first, again = (brains.draw_brain(options, "sub-01") for _ in range(2))
    other = brains.draw_brain(options, "sub-02")
    assert np.array_equal(first.tuning.local, again.tuning.local)
    assert np.array_equal(first.physics.noise, again.physics.noise)
    assert len(first.anatomy.area) != len(other.anatomy.area)
    elsewhere = brains.draw_brain(options.model_copy(update={"seed": 1}), "sub-01")
    assert len(first.anatomy.area) != len(elsewhere.anatomy.area)


def test_maps_of_another_shape_are_refused(subject):
    _, brain, _, training = subject
    codes = np.zeros((120, len(features.levels())), dtype=np.float32)
    with pytest.raises(DataError, match="do not fit the tuning"):
        brains.neural_drive(brain.tuning, np.zeros((120, 3, 16, 16)), codes, training)
