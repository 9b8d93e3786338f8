"""Parts of the report: strips, choice of clips, drawings, slices of voxels, training curves."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brainflix.artifacts.store import write_json
from brainflix.errors import ArtifactError, DataError
from brainflix.evaluation import wording
from brainflix.evaluation.audits.collapse import CollapseAudit
from brainflix.evaluation.results import Entry
from brainflix.report.contents import SHOWN, SubjectGallery
from brainflix.report.drawing import theme
from brainflix.report.drawing.figures import (
    curve_plot,
    distribution_plot,
    reproducibility_plot,
    scatter_plot,
    score_plot,
)
from brainflix.report.drawing.filmstrips import (
    choose_clips,
    data_url,
    filmstrip,
    fit,
    strip,
)
from brainflix.report.drawing.gallery import GalleryEncoding, encode_clip, encode_gallery
from brainflix.report.drawing.voxels import BRAIN, RAMP, VoxelSummary, mosaic, ramp
from brainflix.report.history import TrainingCurve, arrange, read_history
from brainflix.report.page import environment
from brainflix.report.sections.summary import collapse_words


def clips(n: int, frames: int = 3, height: int = 8, width: int = 12) -> np.ndarray:
    rng = np.random.default_rng(n)
    return rng.integers(0, 256, (n, frames, height, width, 3), dtype=np.uint8)


def decode(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))


def test_what_is_put_into_a_template_is_escaped() -> None:
    template = environment().from_string("<p title='{{ text }}'>{{ text }}</p>")
    assert template.render(text="a < 'b' & c") == (
        "<p title='a &lt; &#39;b&#39; &amp; c'>a &lt; &#39;b&#39; &amp; c</p>"
    )


def test_a_strip_lays_frames_side_by_side() -> None:
    clip = clips(1)[0]
    laid = strip(clip)
    assert laid.shape == (8, 36, 3)
    np.testing.assert_array_equal(laid[:, 12:24], clip[1])
    long = strip(np.zeros((40, 4, 1000, 3), np.uint8))
    assert long.shape == (4, 16_000, 3)  # even frames of what no image file holds


def test_large_clips_are_shrunk_and_small_ones_kept() -> None:
    clip = clips(2)
    assert fit(clip, 12) is clip
    halved = fit(clip, 6)
    assert halved.shape == (2, 3, 4, 6, 3)
    block = clip[1, 2, :2, :2].astype(float).mean(axis=(0, 1))
    np.testing.assert_allclose(halved[1, 2, 0, 0], block, atol=1)


def test_the_sample_follows_the_seed_and_extremes_follow_the_scores() -> None:
    first = np.array([0.5, 1.0, 1.0, 0.0, 0.7, 0.7, 0.2, 0.9])
    second = np.array([0.0, 0.1, 0.3, 0.0, 0.9, 0.1, 0.0, 0.0])
    choice = choose_clips([first, second], 8, seed=3, random=4, extreme=3)
    assert choice.best == (2, 1, 7)
    assert choice.worst == (3, 6, 0)
    assert len(set(choice.random)) == 4
    assert list(choice.random) == sorted(choice.random)
    assert choice == choose_clips([first, second], 8, seed=3, random=4, extreme=3)
    samples = {choose_clips([], 8, seed, random=4).random for seed in range(6)}
    assert len(samples) > 1
    assert choose_clips([], 3, seed=0).random == (0, 1, 2)


def test_the_filmstrip_is_a_picture_of_frames(tmp_path: Path) -> None:
    true, predicted = clips(3, frames=5, height=32, width=32), clips(4, 5, 32, 32)[:3]
    filmstrip(true, predicted, tmp_path / "a.png", columns=2, frames=3, scale=2)
    image = np.asarray(Image.open(tmp_path / "a.png"))[::2, ::2]
    gap, line, width = 8, 1, 3 * 32 + 2
    assert image.shape == (2 * (65 + gap) + gap, 2 * (width + gap) + gap, 3)
    np.testing.assert_array_equal(image[gap : gap + 32, gap : gap + 32], true[0, 0])
    right = gap + 2 * (32 + line)
    np.testing.assert_array_equal(image[gap : gap + 32, right : right + 32], true[0, 4])
    below = gap + 32 + line
    second = gap + width + gap
    np.testing.assert_array_equal(image[below : below + 32, second : second + 32], predicted[1, 0])
    before = (tmp_path / "a.png").read_bytes()
    filmstrip(true, predicted, tmp_path / "a.png", columns=2, frames=3, scale=2)
    assert (tmp_path / "a.png").read_bytes() == before
    with pytest.raises(DataError, match="differ in shape"):
        filmstrip(true, predicted[:, :2], tmp_path / "b.png")


def gallery(n: int, side: int = 64) -> SubjectGallery:
    true = clips(n, frames=6, height=side, width=side)
    frames = {SHOWN: true, "network": true[::-1], "oracle": true}
    return SubjectGallery("movie/sub-01", tuple(map(str, range(n))), frames)


def test_a_clip_is_encoded_as_a_strip_of_some_frames() -> None:
    clip = clips(1, frames=6, height=64, width=32)[0]
    found = encode_clip(clip, GalleryEncoding(64, 80, frames=3))
    assert (found.frames, found.height, found.width) == (3, 64, 32)
    assert decode(found.url).size == (3 * 32, 64)
    still = encode_clip(clip, GalleryEncoding(16, 80, frames=1))
    assert (still.frames, still.height, still.width) == (1, 16, 8)


def test_pictures_are_as_good_as_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from brainflix.report.drawing import gallery as module

    name, chosen = "movie/sub-01", {("movie/sub-01", 0)}
    every = encode_gallery([gallery(5)], chosen, "network")
    assert len(every) == 5 * 3
    assert every[name, 0, SHOWN].height == every[name, 1, SHOWN].height == 64
    monkeypatch.setattr(module, "REST_BUDGET", 12_000)
    fewer = encode_gallery([gallery(5)], chosen, "network")
    assert {system for _, k, system in fewer if k} == {SHOWN, "network"}
    assert {system for _, k, system in fewer if not k} == {SHOWN, "network", "oracle"}
    monkeypatch.setattr(module, "REST_BUDGET", 10)
    assert {k for _, k, _ in encode_gallery([gallery(5)], chosen, "network")} == {0}


def test_a_strip_survives_its_encoding() -> None:
    smooth = np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8)
    image = np.stack([smooth, smooth.T, 255 - smooth], axis=-1)
    back = np.asarray(decode(data_url(image, 90)).convert("RGB")).astype(int)
    assert np.abs(back - image).mean() < 4


def summary(position: np.ndarray, selected: list[bool], t: list[float]) -> VoxelSummary:
    values = np.array(t, dtype=np.float64)
    return VoxelSummary(values / 10, values, values, np.array(selected), position, {})


def test_the_mosaic_draws_each_voxel_where_it_lies() -> None:
    position = np.array([[4, 7, 1], [6, 7, 1], [4, 9, 1], [4, 7, 2]])
    image = mosaic(summary(position, [True, False, True, False], [2.0, 0.0, 8.0, 1.0]), columns=2)
    assert image.shape == (5, 10, 4)  # slices of 3 x 3 voxels within a margin of one
    low, high = image[3, 1], image[1, 1]  # the second axis runs upwards
    assert low.tolist() == [*RAMP[0], 255]
    assert high.tolist() == [*RAMP[-1], 255]
    assert image[3, 3].tolist() == list(BRAIN)
    assert image[3, 6].tolist() == list(BRAIN)  # the next slice
    assert (image[..., 3] > 0).sum() == 4


def test_the_ramp_runs_from_its_first_to_its_last_colour() -> None:
    ends = ramp(np.array([0.0, 1.0]))
    assert ends.tolist() == [list(RAMP[0]), list(RAMP[-1])]


def test_without_t_voxels_are_coloured_by_r() -> None:
    position = np.array([[0, 0, 0], [1, 0, 0]])
    found = summary(position, [True, True], [1.0, 2.0])
    found = VoxelSummary(
        found.reproducibility,
        np.full(2, np.nan),
        *[found.ceiling] * 1,
        found.selected,
        position,
        {},
    )
    assert mosaic(found)[1, 1].tolist() == [*RAMP[0], 255]


def figure_ids(svg: str) -> list[str]:
    return re.findall(r'\bid="([^"]+)"', svg)


def entry(value: float, **changes: object) -> Entry:
    baselines = {"grey": 0.5, "mean_training_clip": 0.5, "ridge": 0.6, "oracle": 0.9}
    known = {"interval": (value - 0.1, value + 0.1), "chance": 0.5, "p": 0.001}
    return Entry(value, 9, **{**known, "baselines": baselines, **changes})


def test_drawings_take_their_colours_from_the_page_and_share_no_id() -> None:
    plots = [
        score_plot("one", "A & B", [("movie/sub-01", entry(0.7)), ("x", entry(0.6))]),
        reproducibility_plot("two", np.linspace(-1, 1, 50), np.arange(50) > 30, "sub-01"),
        curve_plot("three", "Loss", {"a": TrainingCurve((0, 1, 2), (3.0, 2.0, 1.0), 2)}),
    ]
    for name, svg in zip(("one", "two", "three"), plots, strict=True):
        assert svg.startswith("<svg ")
        assert "var(--network)" in svg
        assert "#0a0b" not in svg
        assert "<metadata" not in svg
        assert not re.search(r"\d{4}-\d\d-\d\d", svg)
        assert all(found.startswith(f"{name}-") for found in figure_ids(svg))
        used = re.findall(r'(?:url\(#|href="#)([^")]+)', svg)
        assert set(used) <= set(figure_ids(svg))
    ids = [found for svg in plots for found in figure_ids(svg)]
    assert len(ids) == len(set(ids))
    assert 'aria-label="A &amp; B: movie/sub-01 0.700; x 0.600"' in plots[0]


def test_the_same_drawing_has_the_same_bytes() -> None:
    def draw() -> str:
        return curve_plot("c", "Loss", {"a": TrainingCurve((0, 1), (1.0, 2.0))})

    assert draw() == draw()


def test_a_histogram_without_any_correlation_is_drawn_empty() -> None:
    assert "<svg" in reproducibility_plot("x", np.full(4, np.nan), np.ones(4, bool), "s")


def history(folder: Path, models: dict) -> dict:
    write_json(folder / "history.json", {"models": models})
    return arrange(read_history(folder), ["movie/sub-02", "movie/sub-01"])


def test_one_models_curves_are_drawn_together_and_subjects_beside_each_other(
    tmp_path: Path,
) -> None:
    curves = {
        "train_loss": [None, 2.0, 1.0],
        "validation_loss": [3.0, 2.5, 2.6],
        "validation/movie/sub-01/loss": [3.0, 2.0, 2.1],
        "validation/movie/sub-02/loss": [3.0, 3.0, 3.1],
        "validation/movie/sub-01/clip_image": [1.0, 0.9, 0.8],
    }
    model = {"best": {"epochs": [0, 1, 2], "best": 1, "curves": curves}}
    drawings = history(tmp_path, model)
    assert [*drawings] == ["Loss", "Validation loss", "Validation loss, clip_image"]
    assert [*drawings["Loss"]] == ["training", "validation"]
    training = drawings["Loss"]["training"]
    assert (training.epochs, training.values, training.best) == ((1, 2), (2.0, 1.0), 0)
    assert [*drawings["Validation loss"]] == ["movie/sub-02", "movie/sub-01"]  # as asked


def test_several_models_show_their_training_and_each_subject_once(tmp_path: Path) -> None:
    models = {
        f"movie_sub-0{k}": {
            "epochs": [0, 1],
            "best": 0,
            "curves": {
                "train_loss": [2.0, 1.0],
                "validation_loss": [2.0, 1.5],
                f"validation/movie/sub-0{k}/retrieval": [0.1, 0.3],
            },
        }
        for k in (1, 2)
    }
    drawings = history(tmp_path, models)
    assert [*drawings] == ["Training loss", "Validation retrieval"]
    assert [*drawings["Validation retrieval"]] == ["movie/sub-02", "movie/sub-01"]
    assert [*drawings["Training loss"]] == [*models]


def test_a_history_that_is_none_is_refused_and_none_is_none(tmp_path: Path) -> None:
    assert read_history(tmp_path) == {}
    with pytest.raises(ArtifactError, match="training history cannot be read"):
        history(tmp_path, {"best": {"epochs": [0, 1], "best": 0, "curves": {"loss": [1.0]}}})


def test_numbers_in_words() -> None:
    assert wording.number(-0.5) == "\N{MINUS SIGN}0.500"
    assert wording.signed(0.25, 2) == "+0.25"
    assert wording.interval((0.25, None)) == "–"
    assert wording.count(1, "study", "studies") == "1 study"
    assert wording.count(3, "study", "studies") == "3 studies"
    assert wording.share(12, 40) == "12 of 40 (30 %)"
    assert wording.note("unheard@of").title == "unheard@of"
    assert wording.note("identification@vector:latents").short == "latents vector"


def test_every_colour_of_a_drawing_is_a_variable_of_the_page() -> None:
    style = (Path(theme.__file__).parents[1] / "page.css").read_text(encoding="utf-8")
    for name in ("ink", "muted", "rule", "network", "ridge", "shuffled", "oracle", "paper"):
        assert style.count(f"--{name}:") == 2, name  # light and dark


def test_a_score_of_the_whole_set_is_drawn_without_interval_and_chance() -> None:
    whole = entry(3.2, interval=None, chance=None, p=None, baselines={"grey": 9.0})
    assert "sub-01 3.200" in score_plot("s", "Distance", [("sub-01", whole)])


@pytest.mark.parametrize("values", [[1.0], [2.0, 2.0], [np.inf, 1.0], []])
def test_odd_values_can_be_drawn(values: list[float]) -> None:
    points = np.array(values)
    drawn = distribution_plot("d", "x", points, np.array([np.nan]), {"chance": None, "mean": 1.0})
    finite = int(np.isfinite(points).sum())
    assert f'aria-label="x: distribution over {finite} clips"' in drawn
    assert "nan" not in drawn
    assert "nan" not in scatter_plot("s", "x", points, points, ("a", "b"))


def bars(drawn: str) -> list[float]:
    """Return the heights of the filled bars of a drawing, in its units."""
    paths = re.findall(r'<path d="([^"]+)"[^>]*style="fill: var\(--network\)', drawn)
    found = [np.array(re.findall(r"[\d.]+ ([\d.]+)", path), dtype=float) for path in paths]
    return [float(np.ptp(each)) for each in found if np.ptp(each) > 0]


def test_bars_are_as_high_as_their_share() -> None:
    first, last = bars(distribution_plot("d", "x", np.array([0.0, 0, 0, 1]), None, {}))
    assert first == pytest.approx(3 * last, rel=1e-3)


def test_collapse_is_reported_in_words() -> None:
    found = CollapseAudit("clip", 40, 3.14, 20.0, 4, 25.3, 0.157, True)
    assert collapse_words(found) == (
        "the reconstructions differ in 3.1 directions, the true clips in 20; they are nearest to "
        "4 of 40 clips (25 if each chose at random)"
    )
