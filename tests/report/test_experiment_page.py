"""The pipeline's page, made from small made-up artifacts."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image
from support.edited_artifacts import edited
from support.fake_results import FakeExperiment, make_experiment, write_training
from support.pages import ParsedPage, plain, table_rows

from brainflix.artifacts.store import read_json, write_json
from brainflix.config.recipe import EvaluationConfig
from brainflix.errors import ArtifactError
from brainflix.evaluation.results import VERSION, json_schema, read_results
from brainflix.evaluation.stage import evaluate
from brainflix.evaluation.wording import number
from brainflix.report.experiment import read_contents
from brainflix.report.page import render_page, shown_sections
from brainflix.report.sections import SECTIONS, summary
from brainflix.report.stage import report

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
        "generation": {
            "model": "embedded:text-to-video",
            "component": "video_to_video",
            "steps": 20,
        },
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
def page(made: tuple[FakeExperiment, dict[str, Path]]) -> ParsedPage:
    fake, artifacts = made
    movie = fake.videos["movie/sub-01"].with_suffix("") / "test-013.mp4"
    movie.parent.mkdir(parents=True, exist_ok=True)
    movie.write_bytes(b"a video")
    out = fake.folder / "report" / "index.html"
    report("demo", CONFIGURATION, artifacts, out)
    return ParsedPage(out.read_text(encoding="utf-8"))


def test_the_page_is_whole_and_needs_no_other_file(page: ParsedPage) -> None:
    page.check()
    assert len(page.text) < 12 * 2**20
    assert page.links == [section.NAME for section in SECTIONS]


def test_results_and_videos_can_be_reached_from_the_page(
    page: ParsedPage, made: tuple[FakeExperiment, dict[str, Path]]
) -> None:
    links = {str(a["href"]) for a in page.all("a") if not str(a["href"]).startswith("#")}
    assert links == {
        "../evaluation/metrics.json",
        "../evaluation/clips.parquet",
        "../videos/movie/sub-01/test-013.mp4",
    }
    for link in links:
        assert (made[0].folder / "report" / link).is_file()


def test_each_section_keeps_the_contract(made: tuple[FakeExperiment, dict[str, Path]]) -> None:
    contents = contents_of(made[1])
    assert shown_sections(SECTIONS, contents) == list(SECTIONS)
    names = [section.NAME for section in SECTIONS]
    assert len(set(names)) == len(names)
    for section in SECTIONS:
        assert section.TITLE
        assert all(hasattr(contents, need) for need in section.NEEDS)
        assert section.view(contents)


def contents_of(artifacts: Mapping[str, Path], title: str = "demo") -> Any:
    return read_contents(title, {}, artifacts, artifacts["metrics"].parent / "page.html")


def test_every_clip_plays_next_to_its_original_and_the_other_systems(page: ParsedPage) -> None:
    clips = page.section("clips")
    figures = re.findall(r'<figure class="clip".*?</figure>', clips, re.S)
    assert len(figures) == 3 * 6
    for figure in figures:
        screens = re.findall(r'class="screen (\w+)"', figure)
        assert screens == ["shown", "network", "ridge", "shuffled", "oracle"]
    assert "--frames:8;aspect-ratio:24/24" in clips
    rows = table_rows(clips, "clip-table")
    assert len(rows) == 3 * 6
    for name in ("movie/sub-01", "movie/sub-02", "events/sub-01"):
        assert f'<option value="{name}"' in clips
        assert f"{name}: random sample".capitalize() in plain(clips)
        assert sum(row[1] == name for row in rows) == 6


def test_cards_and_rows_carry_what_the_form_filters_by(
    page: ParsedPage, made: tuple[FakeExperiment, dict[str, Path]]
) -> None:
    results = contents_of(made[1]).results
    items = [a for _, a in page.tags if a.get("data-scores")]
    assert len(items) == 2 * 3 * 6  # cards and rows
    assert {a["data-study"] for a in items} == {"movie", "events"}
    scores = [
        json.loads(str(a["data-scores"])) for a in items if a["data-subject"] == "movie/sub-02"
    ]
    found = sorted(each[1] for each in scores[:6])
    wanted = results.scores_of["network"]
    ssim = sorted(v["ssim@rgb"] for (name, _), v in wanted.items() if name == "movie/sub-02")
    np.testing.assert_allclose(found, ssim, rtol=1e-5)


def test_captions_cannot_run(page: ParsedPage) -> None:
    assert page.text.count("<script") == 1
    assert "a &lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt; &amp; more" in page.text


def test_the_table_holds_the_numbers_of_the_evaluation(
    page: ParsedPage, made: tuple[FakeExperiment, dict[str, Path]]
) -> None:
    results = read_results(made[1]["metrics"])
    rows = table_rows(page.section("scores"), "score-table")
    for name, entry in results.subjects["movie/sub-02"].metrics.items():
        (row,) = [r for r in rows if r[0].endswith(name) and r[1] == "movie/sub-02"]
        wanted = [entry.value, *entry.baselines.values(), entry.chance]
        assert {number(value) for value in wanted} <= set(row), name
    pooled = [row for row in rows if row[1] == "all subjects"]
    assert len(pooled) == len(results.metrics)
    assert "What it does not show" in page.text
    assert "The network against ridge" in plain(page.section("comparison"))


def test_the_same_artifacts_give_the_same_page(
    page: ParsedPage, made: tuple[FakeExperiment, dict[str, Path]]
) -> None:
    fake, artifacts = made
    picture = (fake.folder / "report" / "gallery.png").read_bytes()
    again = fake.folder / "report" / "index.html"
    report("demo", CONFIGURATION, artifacts, again)
    assert again.read_text(encoding="utf-8") == page.text
    assert (again.parent / "gallery.png").read_bytes() == picture


def test_the_picture_shows_the_random_sample(
    page: ParsedPage, made: tuple[FakeExperiment, dict[str, Path]]
) -> None:
    fake, _ = made
    image = np.asarray(Image.open(fake.folder / "report" / "gallery.png"))
    with h5py.File(fake.stimuli["movie"]) as file:
        frame = file["frames"][12, 0]  # the first test clip; all six are in the sample
    np.testing.assert_array_equal(image[6 : 6 + 24, 6 : 6 + 24], frame)


def test_training_voxels_and_origin_are_there(page: ParsedPage) -> None:
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
        assert words in page.text, words


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
    text = render_page(contents_of(artifacts), SECTIONS)
    assert "lie on a surface" in text
    assert "Axial slices" not in text
    assert 'id="training"' not in text
    ParsedPage(text).check()


def test_only_what_is_above_chance_everywhere_is_coloured(
    made: tuple[FakeExperiment, dict[str, Path]], tmp_path: Path
) -> None:
    content = read_json(made[1]["metrics"])
    for q, coloured in ((0.049, True), (0.05, False)):
        content["metrics"]["psnr"] |= {"p": 0.001, "q": q}
        write_json(tmp_path / "metrics.json", content)
        contents = contents_of({**made[1], "metrics": tmp_path / "metrics.json"})
        (tile,) = [each for each in summary.view(contents)["tiles"] if each.title == "PSNR"]
        assert tile.above_chance == coloured


def test_findings_say_what_the_numbers_say(
    made: tuple[FakeExperiment, dict[str, Path]], tmp_path: Path
) -> None:
    content = read_json(made[1]["metrics"])
    pooled = {"value": 0.6, "other": 0.7, "difference": -0.1, "interval": [-0.2, 0.1], "p": 0.3}
    content["comparison"] = {
        other: {
            "on": "vectors",
            "metrics": {
                "identification@vector:clip_image": {
                    "pooled": {**pooled, "n": 12, "better": better},
                    "subjects": {},
                }
            },
        }
        for other, better in (("ridge", "other"), ("alone", "neither"))
    }
    for k, subject in enumerate(content["subjects"].values()):
        subject["metrics"]["ssim@rgb"]["q"] = 0.4
        subject["metrics"]["psnr"]["q"] = 0.4 if k else 0.01
    content["metrics"]["psnr"]["value"] = 5.0
    content["audit"]["movie"]["split"]["disjoint"] = False
    write_json(tmp_path / "metrics.json", content)
    found = summary.findings(contents_of({**made[1], "metrics": tmp_path / "metrics.json"}))
    text = " ".join(each.text for each in found)
    assert "Ridge identifies clips better than the network" in text
    assert "No difference is shown between demo and alone" in text
    assert "Not shown to be better than chance in any subject: SSIM" in text
    assert re.search(r"Better than chance in some subjects only: [^.]*PSNR \(1 of 3\)", text)
    assert re.search(r"The mean of all training clips scores at least as well by: .*PSNR", text)
    assert "events: 12 training and 6 test clips share no clip" in text
    alarms = [each.text for each in found if each.alarm]
    assert any("movie: training and test clips are not separate" in each for each in alarms)


def test_results_are_read_as_they_were_written(
    made: tuple[FakeExperiment, dict[str, Path]], tmp_path: Path
) -> None:
    content = read_json(made[1]["metrics"])
    results = read_results(made[1]["metrics"])
    assert results.as_json() == content
    assert set(json_schema()["properties"]) == set(content)
    wrong = {**content, "version": VERSION + 1}
    write_json(tmp_path / "metrics.json", wrong)
    with pytest.raises(ArtifactError, match="another version"):
        read_results(tmp_path / "metrics.json")
    del content["metrics"]["psnr"]["n"]
    write_json(tmp_path / "metrics.json", content)
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_results(tmp_path / "metrics.json")


@pytest.mark.parametrize("missing", ["metrics", "clips", "stimuli/movie"])
def test_a_missing_artifact_is_named(
    made: tuple[FakeExperiment, dict[str, Path]], missing: str, tmp_path: Path
) -> None:
    artifacts = {name: path for name, path in made[1].items() if name != missing}
    with pytest.raises(ArtifactError) as caught:
        read_contents("demo", {}, artifacts, tmp_path / "page.html")
    assert missing in str(caught.value)
