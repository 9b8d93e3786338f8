"""The page of `brainflix evaluate`: what is on it, and that it needs nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from support.clips_on_disk import N, damaged, true_clips, write_set
from support.pages import ParsedPage, plain, table_rows

from brainflix.cli import main as cli
from brainflix.evaluation.results import Entry
from brainflix.report.sections.scores import _sampled

TRUE = true_clips()
METRICS = ("ssim@rgb", "psnr", "mse", "identification@pixel")
QUICK = ["--metrics", ",".join(METRICS), "--permutations", "99", "--bootstrap", "100"]


def page(out: Path, *arguments: object) -> ParsedPage:
    given = [*map(str, arguments), *QUICK, "--html", str(out)]
    cli.app(["evaluate", *given], standalone_mode=False)
    return ParsedPage(out.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> ParsedPage:
    """A page with everything on it."""
    root = tmp_path_factory.mktemp("page")
    write_set(root / "true", TRUE, "npy")
    write_set(root / "mine", damaged(TRUE, 20.0), "mp4")
    write_set(root / "theirs", damaged(TRUE, 60.0), "npy")
    write_set(root / "train", np.concatenate([true_clips(7, seed=5), TRUE[:1]]), "npy")
    windows = root / "w.csv"
    windows.write_text("run,split,first,last,clip\n1,train,0,5,a\n1,test,5,9,b\n")
    return page(
        root / "page.html",
        *(root / "true", root / "mine", "--against", root / "theirs"),
        *("--training", root / "train", "--oracle", root / "true", "--windows", windows),
        *("--json", root / "numbers" / "m.json", "--csv", root / "clips.csv"),
    )


def test_the_page_is_whole_and_needs_no_other_file(full: ParsedPage) -> None:
    full.check()
    assert "/tmp" not in full.text


def test_what_is_written_and_the_videos_are_linked(full: ParsedPage) -> None:
    links = [str(a["href"]) for a in full.all("a") if not str(a["href"]).startswith("#")]
    assert {"numbers/m.json", "clips.csv"} <= set(links)
    assert {f"mine/clip{k}.mp4" for k in range(N)} <= set(links)


def test_each_section_is_in_the_navigation(full: ParsedPage) -> None:
    assert full.links == [
        "summary",
        "clips",
        "scores",
        "distributions",
        "comparison",
        "audits",
        "meanings",
        "origin",
    ]
    for name in full.links:
        full.section(name)


def test_the_table_has_every_metric_and_baseline(full: ParsedPage) -> None:
    scores = full.section("scores")
    for head in ("value", "95 % interval", "chance", "P", "q", "grey", "mean clip", "oracle"):
        assert re.search(rf"<th scope=\"col\"[^>]*>{head}</th>", scores), head
    rows = table_rows(scores, "score-table")
    assert [row[0].split()[-1] for row in rows if "lower" not in row[0]] == [
        "identification@pixel",
        "ssim@rgb",
        "psnr",
    ]
    assert len(rows) == len(METRICS)
    assert all(len(row) == 7 + 7 for row in rows)
    assert '"beats"' in scores  # a grey clip beats noise by SSIM


def test_every_clip_is_in_the_grid_and_in_the_table(full: ParsedPage) -> None:
    clips = full.section("clips")
    figures = re.findall(r'<figure class="clip".*?</figure>', clips, re.S)
    assert len(figures) == N
    for figure in figures:
        labels = re.findall(r'<span class="label">([^<]+)</span>', figure)
        assert labels == ["shown", "reconstructed", "the other", "oracle"]
        assert figure.count("--frames:8") == 4
    assert sorted(row[0] for row in table_rows(clips, "clip-table")) == [
        f"clip{k}" for k in range(N)
    ]
    for words in ("Random sample", "Pause all clips", "the worst", "the best"):
        assert words in clips


def test_every_metric_is_drawn_and_explained(full: ParsedPage) -> None:
    assert full.section("distributions").count("<svg") == len(METRICS)
    assert full.section("meanings").count("What it does not show") == len(METRICS)


def test_audits_and_comparison_say_what_was_found(full: ParsedPage) -> None:
    summary, audits = plain(full.section("summary")), plain(full.section("audits"))
    assert "Test clips that also occur among the training clips: " in summary
    assert "Test windows that share volumes with training windows: 1." in summary
    assert "identical frames 0 0 1" in audits
    assert "all reconstructions" in audits
    assert "nearest of 8 training clips" in audits
    assert "a" in audits
    comparison = full.section("comparison")
    assert "mine against theirs" in plain(comparison)
    assert len(table_rows(comparison, "comparison0")) == len(METRICS)
    assert "brainflix" in plain(full.section("origin"))


def test_a_collapsed_set_raises_an_alarm(tmp_path: Path) -> None:
    write_set(tmp_path / "true", true_clips(24), "npy")
    few = damaged(true_clips(24), 5.0)[np.arange(24) % 2]
    write_set(tmp_path / "made", few, "npy")
    found = page(tmp_path / "p.html", tmp_path / "true", tmp_path / "made")
    assert "have collapsed to a few outputs" in found.section("summary")
    assert "comparison" not in found.links
    assert "Not known: no training clips" in plain(found.section("audits"))
    assert "All other clips (" in plain(found.section("clips"))  # 24, of which 12 are chosen


def test_names_are_escaped_and_subjects_have_their_own_rows(tmp_path: Path) -> None:
    names = [f"a<b>&{k}" for k in range(N)]
    write_set(tmp_path / "true", TRUE, "npy", names=names)
    for k, subject in enumerate(("s1", "s2")):
        made = damaged(TRUE, 30.0, seed=k)
        write_set(tmp_path / "<i>made" / subject, made, "npy", names=names)
    found = page(tmp_path / "p.html", tmp_path / "true", tmp_path / "<i>made")
    found.check()
    assert "<b>" not in re.sub(r"<b aria", "", found.section("clips"))
    assert "<h1>&lt;i&gt;made</h1>" in found.text
    rows = table_rows(found.section("scores"), "score-table")
    assert [row[1] for row in rows] == ["all subjects", "s1", "s2"] * len(METRICS)
    assert len(table_rows(found.section("clips"), "clip-table")) == 2 * N


def test_what_was_sampled_is_written_down() -> None:
    entry = Entry(1.0, 9, notes={"sampled_pairs": 2400, "baseline_clips": 211})
    assert _sampled(entry) == ["chance from 2,400 pairs", "baselines on 211 clips"]
    assert _sampled(Entry(1.0, 9)) == []
