"""The page of an evaluation: what stands on it, and that it needs nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from support.clips_on_disk import N, damaged, true_clips, write_set

from brainflix.cli import main as cli
from brainflix.report.drawing.distributions import WIDTH, _ticks, distribution, scatter
from brainflix.report.evaluation_scores import _sampled

TRUE = true_clips()
METRICS = ("ssim@rgb", "psnr", "mse", "identification@pixel")
QUICK = ["--metrics", ",".join(METRICS), "--permutations", "99", "--bootstrap", "100"]


def page(out: Path, *arguments: object) -> str:
    given = [*map(str, arguments), *QUICK, "--html", str(out)]
    cli.app(["evaluate", *given], standalone_mode=False)
    return out.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page with everything on it."""
    root = tmp_path_factory.mktemp("page")
    write_set(root / "true", TRUE, "npy")
    for name, noise in (("mine", 20.0), ("theirs", 60.0)):
        write_set(root / name, damaged(TRUE, noise), "npy")
    write_set(root / "train", np.concatenate([true_clips(7, seed=5), TRUE[:1]]), "npy")
    windows = root / "w.csv"
    windows.write_text("run,split,first,last,clip\n1,train,0,5,a\n1,test,5,9,b\n")
    return page(
        root / "page.html",
        *(root / "true", root / "mine", "--against", root / "theirs"),
        *("--training", root / "train", "--oracle", root / "true", "--windows", windows),
    )


def plain(markup: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", markup).split())


def section(text: str, name: str) -> str:
    found = re.search(rf'<section id="{name}">.*?</section>', text, re.S)
    assert found is not None, name
    return found[0]


def test_the_page_needs_no_other_file(text: str) -> None:
    addresses = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert all(a.startswith(("#", "data:")) for a in addresses)
    assert "url(" not in re.sub(r"url\(#", "", text)
    assert "<script" not in text
    assert "/tmp" not in text


def test_each_link_leads_to_a_section(text: str) -> None:
    links = re.findall(r'<a href="#(\w+)">', text)
    assert links == [
        "summary",
        "table",
        "reconstructions",
        "distributions",
        "comparison",
        "audits",
        "metrics",
        "origin",
    ]
    for name in links:
        section(text, name)
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))


def test_the_table_has_every_metric_and_baseline(text: str) -> None:
    table = section(text, "table")
    for head in ("value", "95 % interval", "chance", "P", "q", "grey", "mean clip", "oracle"):
        assert f">{head}</th>" in table
    rows = re.findall(r"<tr><th scope=\"row\">.*?</tr>", table)
    assert len(rows) == len(METRICS)
    for metric, row in zip(METRICS, rows, strict=True):
        assert f"<code>{metric}</code>" in row
        assert len(re.findall("<td", row)) == 5 + 7
    assert 'class="beats"' in rows[0]  # a grey clip beats noise by SSIM


def test_clips_play_side_by_side(text: str) -> None:
    gallery = section(text, "reconstructions")
    for words in ("A random sample", "The worst", "The best", "Pause all clips"):
        assert words in gallery
    figures = re.findall(r'<figure class="clip">.*?</figure>', gallery)
    assert len(figures) == N + 3 + 3
    for figure in figures:
        labels = re.findall(r'<span class="label">([^<]+)</span>', figure)
        assert labels == ["true", "reconstructed", "the other", "oracle"]
        assert figure.count("--frames:8") == 4


def test_every_metric_is_drawn_and_explained(text: str) -> None:
    drawn = section(text, "distributions")
    assert drawn.count('class="distribution"') == len(METRICS)
    words = section(text, "metrics")
    assert words.count("What it does not show") == len(METRICS)


def test_audits_and_comparison_say_what_was_found(text: str) -> None:
    summary, audits = plain(section(text, "summary")), plain(section(text, "audits"))
    assert "Test clips that also occur among the training clips: 1." in summary
    assert "Test windows that share volumes with training windows: 1." in summary
    assert "identical frames 0 0 1" in audits
    assert "collapsed all reconstructions" in audits
    assert "nearest of 8 training clips" in audits
    assert "Against theirs" in plain(section(text, "comparison"))
    assert "brainflix" in plain(section(text, "origin"))


def test_a_collapsed_set_raises_an_alarm(tmp_path: Path) -> None:
    write_set(tmp_path / "true", true_clips(24), "npy")
    few = damaged(true_clips(24), 5.0)[np.arange(24) % 2]
    write_set(tmp_path / "made", few, "npy")
    found = page(tmp_path / "p.html", tmp_path / "true", tmp_path / "made")
    assert "have collapsed to a few outputs" in section(found, "summary")
    assert "comparison" not in re.findall(r'<a href="#(\w+)">', found)
    assert "Not known: no training clips" in plain(section(found, "audits"))


def test_names_are_escaped_and_subjects_have_their_own_rows(tmp_path: Path) -> None:
    names = [f"a<b>&{k}" for k in range(N)]
    write_set(tmp_path / "true", TRUE, "npy", names=names)
    for k, subject in enumerate(("s1", "s2")):
        made = damaged(TRUE, 30.0, seed=k)
        write_set(tmp_path / "<i>made" / subject, made, "npy", names=names)
    found = page(tmp_path / "p.html", tmp_path / "true", tmp_path / "<i>made")
    assert "<b>" not in section(found, "reconstructions")
    assert "<h1>&lt;i&gt;made</h1>" in found
    table = section(found, "table")
    assert table.count('class="pooled"') == len(METRICS)
    assert table.count(">s2</th>") == len(METRICS)
    assert re.findall(r"<summary>(s\d)<", section(found, "reconstructions")) == ["s1", "s2"]


def test_what_was_sampled_is_said() -> None:
    entry = {"sampled_pairs": 2400, "baseline_clips": 211, "value": 1.0}
    assert _sampled(entry) == "chance from 2,400 pairs; baselines on 211 clips"
    assert _sampled({"value": 1.0}) == ""


def heights(path: str) -> list[float]:
    return [float(y) for y in re.findall(r"V([\d.]+)H", path)]


def test_bars_are_as_high_as_their_share() -> None:
    values = np.array([0.0] * 3 + [1.0] * 1)
    drawn = distribution("x", values, None, {"mean": 0.25, "chance": None})
    (bars,) = re.findall(r'<path d="([^"]+)" class="bars">', drawn)
    first, last = heights(bars)
    base = float(re.findall(r"M[\d.]+ ([\d.]+)V", bars)[0])
    assert base - first == pytest.approx(3 * (base - last), abs=0.2)
    (level,) = re.findall(r'd="M([\d.]+) [^"]*" class="level mean"', drawn)
    ends = 6, WIDTH - 6
    margin = (ends[1] - ends[0]) * 0.02 / 1.04
    assert float(level) == pytest.approx(
        ends[0] + margin + 0.25 * (ends[1] - ends[0] - 2 * margin), abs=0.1
    )
    assert "level chance" not in drawn


@pytest.mark.parametrize("values", [[1.0], [2.0, 2.0], [np.inf, 1.0], []])
def test_odd_values_can_be_drawn(values: list[float]) -> None:
    drawn = distribution("x", np.array(values), np.array([np.nan]), {"chance": None})
    assert drawn.startswith("<svg")
    assert "nan" not in drawn
    points = np.array(values)
    assert "nan" not in scatter("x", points, points, ("a", "b"))


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.2, 17), (1e-4, 2e-4), (250, 251)])
def test_ticks_are_round_and_inside(low: float, high: float) -> None:
    ticks = _ticks(low, high)
    assert 3 <= len(ticks) <= 7
    assert low <= ticks[0] + 1e-12
    assert ticks[-1] <= high + 1e-12
    steps = np.diff(ticks)
    np.testing.assert_allclose(steps, steps[0])
