"""The simulated world: what is drawn, what is said of it, and what is held out."""

import numpy as np
import pytest

from brainflix.simulation.world import (
    ATTRIBUTES,
    COLOURS,
    LABELS,
    MOTIONS,
    OBJECTS,
    Scene,
    captions,
    centres,
    is_held_out,
    object_cells,
    render,
    sample_scenes,
    vocabulary,
)


def scene(**changes):
    values = {
        "object": "ball",
        "colour": "red",
        "background": "night",
        "motion": "still",
        "x": 32.0,
        "y": 32.0,
        "radius": 12.0,
        "angle": 0.0,
        "pan": 0.0,
        "seed": 3,
    }
    return Scene(**(values | changes))


def centroid(frame):
    """Return the centre of what is redder than it is blue or green, in pixels, and its area."""
    frame = frame.astype(float)
    mask = (frame[..., 0] > 80) & (frame[..., 0] > 2 * frame[..., 1:].max(-1))
    rows, columns = np.nonzero(mask)
    return columns.mean() + 0.5, rows.mean() + 0.5, mask.sum()


def test_the_world_is_as_rich_as_promised():
    assert [len(LABELS[name]) for name in ATTRIBUTES] == [8, 8, 5, 10]


@pytest.mark.parametrize(
    ("motion", "dx", "dy"),
    [("left", -1, 0), ("right", 1, 0), ("up", 0, -1), ("down", 0, 1), ("still", 0, 0)],
)
def test_directions_move_the_object_where_they_say(motion, dx, dy):
    clip = render(scene(motion=motion))
    first, last = centroid(clip[0]), centroid(clip[-1])
    travelled = 26.0 * 7 / 8
    assert last[0] - first[0] == pytest.approx(dx * travelled, abs=1.0)
    assert last[1] - first[1] == pytest.approx(dy * travelled, abs=1.0)


def test_approach_grows_and_retreat_is_its_reversal():
    growing, shrinking = render(scene(motion="approach")), render(scene(motion="retreat"))
    assert centroid(growing[-1])[2] > 3 * centroid(growing[0])[2]
    np.testing.assert_array_equal(growing, shrinking[::-1])


def test_turning_is_visible_on_every_object_and_directions_differ():
    for name in OBJECTS:
        clockwise = render(scene(object=name, motion="clockwise"))
        counter = render(scene(object=name, motion="counterclockwise"))
        assert np.abs(clockwise[0].astype(int) - clockwise[4]).mean() > 1, name
        np.testing.assert_array_equal(clockwise, counter[::-1])
        assert np.abs(clockwise[1].astype(int) - counter[1]).mean() > 0.5, name


def test_colours_are_seen_on_every_background():
    for colour, rgb in COLOURS.items():
        for background in LABELS["background"]:
            frame = render(scene(object="box", colour=colour, background=background))[0]
            lit = frame[24:29, 28:36].reshape(-1, 3).mean(0)
            nearest = min(COLOURS, key=lambda name: np.abs(np.array(COLOURS[name]) - lit).sum())
            assert nearest == colour, (background, rgb, lit)


def test_centres_follow_the_object():
    moving = scene(motion="circling")
    seen = [centroid(frame)[:2] for frame in render(moving)]
    np.testing.assert_allclose(centres(moving), seen, atol=1.0)


def test_object_cells_hold_the_object_and_little_else():
    moving = scene(motion="right", radius=11.0)
    cells = object_cells(moving, 16)
    assert cells.shape == (8, 16, 16)
    for frame, reached in zip(render(moving).astype(float), cells, strict=True):
        red = (frame[..., 0] > 80) & (frame[..., 0] > 2 * frame[..., 1:].max(-1))
        shown = red.reshape(16, 4, 16, 4).any(axis=(1, 3))
        assert not (shown & ~reached).any()
        assert reached.sum() < 2 * shown.sum()


def test_panning_moves_the_background_alone():
    still, panned = render(scene(background="meadow")), render(scene(background="meadow", pan=14.0))
    assert np.abs(panned[0].astype(int) - panned[-1]).mean() > 2
    assert np.abs(still[0].astype(int) - still[-1]).max() == 0


def test_scenes_repeat_from_a_seed_and_splits_do_not_share_combinations():
    first = sample_scenes(50, np.random.default_rng(5))
    assert first == sample_scenes(50, np.random.default_rng(5))
    assert not any(map(is_held_out, first))
    assert all(map(is_held_out, sample_scenes(20, np.random.default_rng(5), held_out=True)))
    share = np.mean(
        [is_held_out(each) for each in sample_scenes(3000, np.random.default_rng(1), None)]
    )
    assert share == pytest.approx(1 - (7 / 8) * (9 / 10), abs=0.025)


def test_every_value_occurs_among_the_training_combinations():
    scenes = sample_scenes(2000, np.random.default_rng(2))
    for name, values in LABELS.items():
        assert {getattr(each, name) for each in scenes} == set(values)


def test_captions_are_several_and_name_what_is_seen():
    for each in sample_scenes(40, np.random.default_rng(3), None):
        texts = captions(each, 8)
        assert len(set(texts)) == 8
        assert texts[:5] == captions(each, 5)
        assert all(each.object in text.split() and each.colour in text.split() for text in texts)
        assert {word for text in texts for word in text.split()} <= set(vocabulary())


def test_different_motions_are_never_described_alike():
    described = {motion: set(captions(scene(motion=motion), 16)) for motion in MOTIONS}
    assert sum(map(len, described.values())) == len(set.union(*described.values()))


def test_rendering_at_another_size_shows_the_same():
    small = render(scene(), size=32).astype(float)
    large = render(scene()).astype(float)
    halved = large.reshape(8, 32, 2, 32, 2, 3).mean((2, 4))
    assert np.abs(small - halved).mean() < 6
