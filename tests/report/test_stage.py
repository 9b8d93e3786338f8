"""The page as a whole, made from small made-up artifacts."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from support.edited_artifacts import edited
from support.fake_results import FakeExperiment, make_experiment, write_training

from brainflix.artifacts.store import read_json, write_json
from brainflix.config.recipe import EvaluationConfig
from brainflix.errors import ArtifactError
from brainflix.evaluation.stage import evaluate
from brainflix.report.contents import read_contents
from brainflix.report.sections import summary as overview
from brainflix.report.stage import render_page, report

CONFIGURATION = {
    "stimuli": {"frames": 8},
    "studies": {
        "movie": {
            "reader": "bids",
            "simulation": {"kind": "movie"},
            "preprocessing": {"response": {"delay": 4.0, "window": 2}},
        }
    },
    "targets": {"clip_image": {"model": "embedded:clip"}},
    "experiment": {
        "alignment": {"pooling": "joint", "target": "clip_image"},
        "generation": {"model": "embedded:text-to-video", "path": "video_to_video", "steps": 20},
    },
}
NO_MODELS = EvaluationConfig(
    clip_model=None,
    frame_classifier=None,
    video_classifier=None,
    permutations=99,
    bootstrap=100,
)
MISCHIEF = 'a <script>alert("x")</script> & more'


class Page(HTMLParser):
    """Collects what the tests look at."""

    void = frozenset({"meta", "link", "img", "input", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.void:
            assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[FakeExperiment, dict[str, Path]]:
    fake = make_experiment(tmp_path_factory.mktemp("results"), size=24)
    with edited(fake.stimuli["movie"]) as file:
        captions = file["captions"][()]
        captions[-6:] = json.dumps([MISCHIEF])
        file["captions"][...] = captions
    evaluate(
        fake.videos,
        fake.stimuli,
        fake.predictions,
        fake.targets,
        NO_MODELS,
        fake.folder / "evaluation",
    )
    return fake, write_training(fake)


@pytest.fixture(scope="module")
def page(made: tuple[FakeExperiment, dict[str, Path]]) -> str:
    fake, artifacts = made
    out = fake.folder / "report" / "index.html"
    report("demo", CONFIGURATION, artifacts, out)
    return out.read_text(encoding="utf-8")


def test_the_page_is_whole_and_asks_for_nothing_else(page: str) -> None:
    found = Page(page)
    assert found.open == []
    links = [
        value
        for _, attributes in found.tags
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "data", "action", "poster") and value
    ]
    assert all(link.startswith(("data:", "#")) for link in links)
    assert not found.all("script")
    assert "@import" not in page
    assert all(url.startswith("#") for url in re.findall(r"url\(([^)]*)\)", page))
    assert len(page) < 12 * 2**20


def test_ids_are_unique_and_links_lead_somewhere(page: str) -> None:
    found = Page(page)
    ids = [attributes["id"] for _, attributes in found.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    for attributes in found.all("a"):
        assert str(attributes["href"]).removeprefix("#") in ids


def test_everything_seen_can_be_heard(page: str) -> None:
    found = Page(page)
    images = found.all("img")
    assert images
    assert all(attributes.get("alt") for attributes in images)
    assert all(attributes.get("aria-label") for attributes in found.all("svg"))
    levels = [int(tag[1]) for tag, _ in found.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    assert found.all("html")[0]["lang"] == "en"


def test_clips_play_beside_their_originals_and_rivals(page: str) -> None:
    for subject in ("movie/sub-01", "movie/sub-02", "events/sub-01"):
        assert f"<summary>{subject}" in page
    for title in ("A random sample", "The worst", "The best"):
        assert page.count(title) == 3
    screens = re.findall(r'class="screen (\w+)"', page)
    per_clip = ["shown", "network", "ridge", "shuffled", "oracle"]
    assert screens == per_clip * (len(screens) // 5)
    assert len(screens) == 3 * 12 * 5  # six at random, three worst and three best of six clips
    assert "--frames:8;aspect-ratio:24/24" in page


def test_captions_cannot_run(page: str) -> None:
    assert "<script" not in page
    assert "a &lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; &amp; more" in page


def test_the_table_holds_the_numbers_of_the_evaluation(
    page: str, made: tuple[FakeExperiment, dict[str, Path]]
) -> None:
    metrics = read_json(made[1]["metrics"])["subjects"]["movie/sub-02"]["metrics"]
    for name, entry in metrics.items():
        digits = 2 if name == "psnr" else 3
        for value in (entry["value"], *entry["baselines"].values(), entry["chance"]):
            assert f">{value:.{digits}f}<" in page, name
    assert "What it does not show" in page
    assert "network against ridge".capitalize() in page


def test_the_same_artifacts_give_the_same_page(
    page: str, made: tuple[FakeExperiment, dict[str, Path]]
) -> None:
    fake, artifacts = made
    picture = (fake.folder / "report" / "gallery.png").read_bytes()
    again = fake.folder / "report" / "index.html"
    report("demo", CONFIGURATION, artifacts, again)
    assert again.read_text(encoding="utf-8") == page
    assert (again.parent / "gallery.png").read_bytes() == picture


def test_the_picture_shows_the_random_sample(
    page: str, made: tuple[FakeExperiment, dict[str, Path]]
) -> None:
    fake, _ = made
    image = np.asarray(Image.open(fake.folder / "report" / "gallery.png"))
    with h5py.File(fake.stimuli["movie"]) as file:
        frame = file["frames"][12, 0]  # the first test clip; all six are in the sample
    np.testing.assert_array_equal(image[6 : 6 + 24, 6 : 6 + 24], frame)


def test_training_voxels_and_origin_are_there(page: str) -> None:
    for words in (
        "Validation retrieval",
        "Validation loss, latents",
        "Axial slices of movie/sub-01",
        "FDR at 0.01; t &gt; 2.40",
        "simulated, movie",
        "embedded:text-to-video",
        "The whole configuration",
        "12 / 6",
    ):
        assert words in page, words


def test_a_surface_has_no_slices_and_no_history_no_curves(tmp_path: Path) -> None:
    fake = make_experiment(tmp_path, {"movie": 1}, size=16)
    evaluate(fake.videos, fake.stimuli, fake.predictions, fake.targets, NO_MODELS, tmp_path / "e")
    artifacts = write_training(fake)
    artifacts |= {
        "metrics": tmp_path / "e" / "metrics.json",
        "clips": tmp_path / "e" / "clips.parquet",
    }
    for stage in ("alignment", "regression"):
        (fake.folder / stage / "history.json").unlink()
    with edited(fake.voxels["movie/sub-01"]) as file:
        n = len(file["position"])
        del file["position"]
        file["position"] = np.arange(n, dtype=np.int32)[:, None]
        file.attrs["shape"] = np.array([n])
        for name in ("t", "reproducibility", "noise_ceiling"):
            file[name][...] = np.nan
    text = render_page(read_contents("demo", {}, artifacts))
    assert "lie on a surface" in text
    assert "Axial slices" not in text
    assert 'id="training"' not in text
    Page(text)


def test_only_what_is_above_chance_everywhere_is_coloured(
    made: tuple[FakeExperiment, dict[str, Path]], tmp_path: Path
) -> None:
    metrics = read_json(made[1]["metrics"])
    subjects = [subject["metrics"]["psnr"] for subject in metrics["subjects"].values()]
    for p, coloured in ((0.001, True), (0.2, False)):
        subjects[1]["p"] = p
        subjects[0]["p"] = subjects[2]["p"] = 0.001
        write_json(tmp_path / "metrics.json", metrics)
        artifacts = {**made[1], "metrics": tmp_path / "metrics.json"}
        text = overview.section(read_contents("demo", {}, artifacts))
        tile = text[text.index(">PSNR<") :].partition("</li>")[0]
        assert ('class="certain"' in tile) == coloured


def findings(metrics: dict, made: tuple[FakeExperiment, dict[str, Path]], tmp_path: Path) -> str:
    path = tmp_path / "metrics.json"
    write_json(path, metrics)
    contents = read_contents("demo", {}, {**made[1], "metrics": path})
    return " ".join(overview.findings(contents))


def test_findings_say_what_the_numbers_say(
    made: tuple[FakeExperiment, dict[str, Path]], tmp_path: Path
) -> None:
    metrics = read_json(made[1]["metrics"])
    pooled = {"value": 0.6, "other": 0.7, "difference": -0.1, "interval": [-0.2, 0.1], "p": 0.3}
    metrics["comparison"] = {
        "ridge": {"clip_image": {"pooled": {**pooled, "better": "other"}, "subjects": {}}},
        "alone": {"clip_image": {"pooled": {**pooled, "better": "neither"}, "subjects": {}}},
    }
    for subject in metrics["subjects"].values():
        subject["metrics"]["ssim@rgb"]["p"] = 0.4
        subject["metrics"]["psnr"]["value"] = 5.0
        subject["metrics"]["psnr"]["p"] = 0.001
    metrics["audit"]["movie"]["disjoint"] = False
    text = findings(metrics, made, tmp_path)
    assert "Ridge identifies clips better than the network" in text
    assert "No difference is shown between demo and alone" in text
    assert "SSIM (0 of 3)" in text
    assert "The mean training clip has the higher PSNR" in text
    assert 'class="alarm">movie: training and test clips are not separate' in text
    assert "events: 12 training and 6 test clips share no clip" in text


@pytest.mark.parametrize("missing", ["metrics", "clips", "stimuli/movie"])
def test_a_missing_artifact_is_named(
    made: tuple[FakeExperiment, dict[str, Path]], missing: str
) -> None:
    artifacts = {name: path for name, path in made[1].items() if name != missing}
    with pytest.raises(ArtifactError) as caught:
        read_contents("demo", {}, artifacts)
    assert missing in str(caught.value)
