"""`brainflix evaluate TRUE RECONSTRUCTED`, from files to numbers, and what it refuses."""

from __future__ import annotations

import csv
import json
import re
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from support.clips_on_disk import N, damaged, true_clips, write_h5, write_set

from brainflix.cli import main as cli
from brainflix.errors import ConfigError
from brainflix.evaluation.standalone.request import chosen_metrics
from brainflix.evaluation.tables import escape_latex
from brainflix.evaluation.wording import number, p_value
from brainflix.metrics.catalogue import EVERYTHING, LEGACY, SOUND
from brainflix.report.standalone import ended_orderly

METRICS = "ssim@rgb,psnr,mse,identification@pixel"
QUICK = ["--metrics", METRICS, "--permutations", "99", "--bootstrap", "100"]
TRUE = true_clips()
MADE = damaged(TRUE)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the same clips in several forms."""
    root = tmp_path_factory.mktemp("sets")
    write_set(root / "true", TRUE, "npy")
    write_set(root / "made", MADE, "npy")
    write_set(root / "worse", damaged(TRUE, 80.0, seed=2), "npy")
    write_set(root / "train", true_clips(9, seed=5), "npy")
    return root


def evaluate(*arguments: object) -> None:
    cli.app(["evaluate", *map(str, arguments)], standalone_mode=False)


def scored(out: Path, *arguments: object) -> dict:
    """Evaluate quickly, and return the JSON."""
    evaluate(*arguments, *QUICK, "--json", out)
    return json.loads(out.read_text())


def refused(monkeypatch, capsys, *arguments: object) -> str:
    """Run the command as a person does; return what it says, with exit code 2."""
    monkeypatch.setattr("sys.argv", ["brainflix", "evaluate", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said


def test_numbers_are_those_of_an_independent_implementation(sets: Path, tmp_path: Path) -> None:
    found = scored(tmp_path / "m.json", sets / "true", sets / "made")["metrics"]
    pairs = [(a, b) for x, y in zip(TRUE, MADE, strict=True) for a, b in zip(x, y, strict=True)]
    ssim = [structural_similarity(a, b, channel_axis=-1, data_range=255) for a, b in pairs]
    psnr = [peak_signal_noise_ratio(a, b, data_range=255) for a, b in pairs]
    grey = [structural_similarity(a, np.full_like(a, 128), channel_axis=-1) for a, _ in pairs]
    assert found["ssim@rgb"]["value"] == pytest.approx(np.mean(ssim), abs=1e-6)
    assert found["psnr"]["value"] == pytest.approx(np.mean(psnr), abs=1e-6)
    assert found["ssim@rgb"]["baselines"]["grey"] == pytest.approx(np.mean(grey), abs=1e-6)
    first = np.repeat(MADE[:, :1], MADE.shape[1], axis=1)
    error = np.square(TRUE / 255.0 - first / 255.0).mean()
    assert found["mse"]["baselines"]["still_first_frame"] == pytest.approx(error)


@pytest.mark.parametrize("form", ["mkv", "png", "h5", "npy file"])
def test_lossless_forms_give_equal_numbers(sets: Path, tmp_path: Path, form: str) -> None:
    names = [f"clip{k}" for k in range(N)]
    if form == "h5":
        places = [
            write_h5(tmp_path / f"{k}.h5", c, names=names) for k, c in enumerate((TRUE, MADE))
        ]
    elif form == "npy file":
        places = [tmp_path / "t.npy", tmp_path / "m.npy"]
        np.save(places[0], TRUE)
        np.save(places[1], MADE)
    else:
        places = [write_set(tmp_path / str(k), c, form) for k, c in enumerate((TRUE, MADE))]
    wanted = scored(tmp_path / "a.json", sets / "true", sets / "made")
    found = scored(tmp_path / "b.json", *places)
    assert found["metrics"] == wanted["metrics"]


@pytest.mark.parametrize("form", ["mp4", "gif"])
def test_lossy_forms_give_similar_numbers(sets: Path, tmp_path: Path, form: str) -> None:
    made = write_set(tmp_path / "m", MADE, form)
    wanted = scored(tmp_path / "a.json", sets / "true", sets / "made")["metrics"]
    found = scored(tmp_path / "b.json", sets / "true", made)["metrics"]
    assert found["psnr"]["value"] == pytest.approx(wanted["psnr"]["value"], abs=1.5)
    assert found["identification@pixel"]["value"] == 1.0


def test_side_by_side_pictures_equal_two_folders(sets: Path, tmp_path: Path) -> None:
    gap = np.zeros((*TRUE.shape[:3], 2, 3), np.uint8)
    write_set(tmp_path / "both", np.concatenate([MADE, gap, TRUE], axis=3), "png")
    found = scored(
        tmp_path / "a.json", tmp_path / "both", "--layout", "reconstructed|true", "--gap", 2
    )
    wanted = scored(tmp_path / "b.json", sets / "true", sets / "made")
    assert found["metrics"] == wanted["metrics"]
    assert found["provenance"]["options"]["layout"] == "reconstructed|true"


def test_the_json_holds_all_that_a_reader_needs(sets: Path, tmp_path: Path) -> None:
    found = scored(tmp_path / "m.json", sets / "true", sets / "made", "--training", sets / "train")
    assert set(found) == {
        *("version", "system", "metrics", "subjects", "audit", "comparison"),
        *("skipped_metrics", "provenance"),
    }
    assert found["subjects"][""]["metrics"] == found["metrics"]
    assert set(found["metrics"]) == set(METRICS.split(","))
    for entry in found["metrics"].values():
        assert {"value", "interval", "chance", "p", "q", "n", "baselines"} <= set(entry)
        assert set(entry["baselines"]) == {
            "grey",
            "still_first_frame",
            "shuffled",
            "mean_training_clip",
            "random_training_clip",
            "nearest_training_clip",
        }
        assert entry["interval"][0] <= entry["value"] <= entry["interval"][1]
        assert entry["n"] == N
        assert 0 < entry["p"] <= entry["q"] <= 1
    known = found["provenance"]
    assert known["seed"] == 0
    assert known["rules"]["frames"]["rule"] == "even"
    assert known["rules"]["pairing"] == {
        "rule": "name",
        "pairs": N,
        "unpaired_true": [],
        "unpaired_reconstructed": [],
    }
    assert known["inputs"]["true"]["files"] == N
    assert re.fullmatch("[0-9a-f]{16}", known["inputs"]["true"]["digest"])
    assert known["configuration"]["permutations"] == 99
    nearest = found["audit"][""]["nearest_training"]
    assert nearest["training_clips"] == 9
    assert set(nearest["rank_correlation"]) == set(found["metrics"])


def test_without_training_clips_their_baselines_are_missing_and_said_so(
    sets: Path, tmp_path: Path
) -> None:
    found = scored(tmp_path / "m.json", sets / "true", sets / "made")
    assert set(found["metrics"]["psnr"]["baselines"]) == {"grey", "still_first_frame", "shuffled"}
    assert "--training" in found["audit"][""]["skipped"]["nearest_training"]


def test_the_same_request_gives_the_same_bytes(sets: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        files = [f"--{kind}={tmp_path / name / kind}" for kind in ("json", "html", "csv", "latex")]
        evaluate(sets / "true", sets / "made", *QUICK, *files)
    for kind in ("json", "html", "csv", "latex"):
        a, b = ((tmp_path / name / kind).read_bytes() for name in "ab")
        assert a == b, kind


def test_csv_and_parquet_hold_the_same(sets: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    evaluate(
        *(sets / "true", sets / "made", *QUICK),
        *("--csv", out / "r.csv", "--parquet", out / "r.parquet", "--json", out / "m.json"),
    )
    with open(out / "r.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    table = pd.read_parquet(out / "r.parquet")
    assert list(table.columns) == ["study", "subject", "clip", "metric", "system", "value"]
    assert len(rows) == len(table) == N * 4 * 4  # clips, metrics, systems
    for name in ("subject", "clip", "metric", "system"):
        assert [row[name] for row in rows] == table[name].tolist()
    np.testing.assert_array_equal([float(row["value"]) for row in rows], table["value"])
    own = table[(table["system"] == "reconstructed") & (table["metric"] == "psnr")]["value"]
    entry = json.loads((out / "m.json").read_text())["metrics"]["psnr"]
    assert entry["value"] == pytest.approx(own.mean())


def test_another_system_is_compared_on_the_same_clips(sets: Path, tmp_path: Path) -> None:
    found = scored(tmp_path / "a.json", sets / "true", sets / "made", "--against", sets / "worse")
    compared = found["comparison"][str(sets / "worse")]
    assert compared["on"] == "clips"
    psnr = compared["metrics"]["psnr"]["pooled"]
    other = scored(tmp_path / "b.json", sets / "true", sets / "worse")["metrics"]["psnr"]["value"]
    assert psnr["other"] == pytest.approx(other)
    assert psnr["difference"] == pytest.approx(found["metrics"]["psnr"]["value"] - other)
    assert psnr["better"] == "this" if psnr["p"] < 0.05 else "neither"
    assert compared["metrics"]["mse"]["pooled"]["difference"] < 0
    same = scored(tmp_path / "c.json", sets / "true", sets / "made", "--against", sets / "made")
    psnr = same["comparison"][str(sets / "made")]["metrics"]["psnr"]["pooled"]
    assert (psnr["difference"], psnr["p"], psnr["better"]) == (0, 1, "neither")


def test_a_perfect_oracle_scores_perfectly(sets: Path, tmp_path: Path) -> None:
    found = scored(tmp_path / "a.json", sets / "true", sets / "made", "--oracle", sets / "true")
    assert found["metrics"]["ssim@rgb"]["baselines"]["oracle"] == pytest.approx(1.0)
    assert found["metrics"]["mse"]["baselines"]["oracle"] == 0


def test_identical_clips_can_be_evaluated(sets: Path, tmp_path: Path) -> None:
    found = scored(tmp_path / "a.json", sets / "true", sets / "true")
    assert found["metrics"]["ssim@rgb"]["value"] == pytest.approx(1.0)
    assert found["subjects"][""]["collapse"]["identical_to_true"] == N


def test_subjects_are_evaluated_each_and_together(sets: Path, tmp_path: Path) -> None:
    for k in range(3):
        write_set(tmp_path / "made" / f"sub-0{k}", damaged(TRUE, 20 + 20 * k, seed=k), "npy")
    found = scored(tmp_path / "m.json", sets / "true", tmp_path / "made")
    assert [*found["subjects"]] == ["sub-00", "sub-01", "sub-02"]
    each = [found["subjects"][name]["metrics"]["psnr"] for name in found["subjects"]]
    pooled = found["metrics"]["psnr"]
    assert pooled["value"] == pytest.approx(np.mean([e["value"] for e in each]))
    assert pooled["interval"][0] < pooled["value"] < pooled["interval"][1]
    assert pooled["interval"][1] - pooled["interval"][0] > 1.0  # subjects differ more than clips
    assert pooled["p"] == max(e["p"] for e in each)
    assert pooled["n"] == 3 * N
    assert all(each["collapse"]["n"] == N for each in found["subjects"].values())
    alone = scored(tmp_path / "one.json", sets / "true", tmp_path / "made" / "sub-01")
    assert each[1]["value"] == alone["metrics"]["psnr"]["value"]


def test_systems_are_compared_over_subjects(sets: Path, tmp_path: Path) -> None:
    for k in range(2):
        write_set(tmp_path / "made" / f"s{k}", damaged(TRUE, 20, seed=k), "npy")
        write_set(tmp_path / "other" / f"s{k}", damaged(TRUE, 50 + 20 * k, seed=9 + k), "npy")
    found = scored(
        tmp_path / "m.json", sets / "true", tmp_path / "made", "--against", tmp_path / "other"
    )["comparison"]
    psnr = found[str(tmp_path / "other")]["metrics"]["psnr"]
    each = [psnr["subjects"][name]["difference"] for name in ("s0", "s1")]
    assert psnr["pooled"]["difference"] == pytest.approx(np.mean(each))
    assert each[1] > each[0] > 0
    assert psnr["pooled"]["n"] == N


def test_groups_of_a_table_are_resampled(sets: Path, tmp_path: Path) -> None:
    table = tmp_path / "g.csv"
    table.write_text("clip,film,scene\n" + "".join(f"clip{k},f,{k // 2}\n" for k in range(N)))
    places = sets / "true", sets / "made", "--groups", table
    found = scored(tmp_path / "a.json", *places)
    assert found["provenance"]["rules"]["groups"] == {"column": "scene", "groups": 3}
    assert found["metrics"]["psnr"]["resampled"] == "groups"
    other = scored(tmp_path / "b.json", *places, "--group-column", "film")
    assert other["provenance"]["rules"]["groups"] == {"column": "film", "groups": 1}


def test_a_table_of_pairs_is_followed(sets: Path, tmp_path: Path) -> None:
    table = tmp_path / "p.csv"
    order = np.roll(np.arange(N), 1)
    lines = [f"clip{k},clip{j}" for k, j in enumerate(order)]
    table.write_text("true,reconstructed\n" + "\n".join(lines) + "\n")
    found = scored(tmp_path / "a.json", sets / "true", sets / "made", "--pairs", table)
    wrong = np.square(TRUE / 255.0 - MADE[order] / 255.0).mean()
    assert found["metrics"]["mse"]["value"] == pytest.approx(wrong)


def test_frame_counts_and_sizes_are_reconciled_and_recorded(sets: Path, tmp_path: Path) -> None:
    few = MADE[:, [0, 2, 5, 7]]  # round(linspace(0, 7, 4))
    large = np.repeat(np.repeat(few, 2, axis=2), 2, axis=3)
    write_set(tmp_path / "made", large, "npy")
    found = scored(tmp_path / "a.json", sets / "true", tmp_path / "made")
    error = np.square(TRUE[:, [0, 2, 5, 7]] / 255.0 - few / 255.0).mean()
    assert found["metrics"]["mse"]["value"] == pytest.approx(error)
    rules = found["provenance"]["rules"]
    assert rules["frames"]["compared"] == 4
    assert rules["frames"]["true"] == {"8": N}
    assert rules["size"]["reconstructed"] == {"64x64": N}


def test_windows_that_leak_are_reported(sets: Path, tmp_path: Path) -> None:
    table = tmp_path / "w.csv"
    table.write_text("run,split,first,last\n1,train,0,5\n1,test,5,9\n")
    found = scored(tmp_path / "a.json", sets / "true", sets / "made", "--windows", table)
    assert found["audit"][""]["shared_volumes"]["test_windows"] == 1


def test_a_table_is_printed_where_nothing_is_written(sets: Path, capsys) -> None:
    evaluate(sets / "true", sets / "made", *QUICK)
    said = capsys.readouterr()
    for name in METRICS.split(","):
        assert name in said.out
    assert "chance" in said.out
    assert "reads 6 pairs" in said.err


def test_metrics_without_their_models_are_skipped_with_the_reason(
    sets: Path, tmp_path: Path, capsys
) -> None:
    quick = ["--permutations", "99", "--bootstrap", "100"]
    evaluate(*(sets / "true", sets / "made"), "--metrics", "mse,identification@clip,lpips", *quick)
    said = " ".join(capsys.readouterr().out.split())
    assert "not computed (needs a CLIP model" in said
    with pytest.raises(ConfigError, match="no metric can be computed"):
        evaluate(sets / "true", sets / "made", "--metrics", "50way-identification@clip", *quick)


def test_latex_is_a_table_that_compiles_by_eye(sets: Path, tmp_path: Path) -> None:
    evaluate(sets / "true", sets / "made", *QUICK, "--latex", tmp_path / "t.tex")
    text = (tmp_path / "t.tex").read_text()
    for part in (r"\toprule", r"\midrule", r"\bottomrule", r"\begin{tabular}{l", r"95 \% interval"):
        assert part in text
    body = [line for line in text.splitlines() if line.strip().endswith(r"\\")]
    assert len({line.count("&") for line in body}) == 1
    assert len(body) == 1 + 4
    assert escape_latex("a_b & 5% {x} \\ ~^ #$") == (
        r"a\_b \& 5\% \{x\} \textbackslash{} \textasciitilde{}\textasciicircum{} \#\$"
    )


def test_families_of_metrics() -> None:
    assert set(LEGACY) <= set(EVERYTHING)
    assert set(LEGACY) | set(SOUND) == set(EVERYTHING)
    assert "ssim@column" not in SOUND
    assert chosen_metrics("all") == EVERYTHING
    assert chosen_metrics("psnr, legacy")[0] == "psnr"
    assert chosen_metrics("frame-7way@top3") == ("frame-7way@top3",)
    with pytest.raises(ConfigError):
        chosen_metrics("psnr,ssim")
    with pytest.raises(ConfigError, match="list of metrics is empty"):
        chosen_metrics(" , ")


def test_numbers_are_written_in_one_way() -> None:
    assert [number(v) for v in (None, float("inf"), -0.1234, 16.719, 123.4)] == [
        "–",
        "∞",
        "−0.123",
        "16.72",
        "123.4",
    ]
    assert [p_value(v) for v in (None, 0.0004, 0.0312, 1.0)] == ["–", "< .001", ".031", "1.000"]


# --- what is refused, naming the files, with nothing written


def _cut(root: Path) -> str:
    path = root / "clip2.npy"
    path.write_bytes(path.read_bytes()[:90])
    return "clip2.npy"


def _emptied(root: Path) -> str:
    for path in root.iterdir():
        path.unlink()
    return "holds no clips"


def _unpaired(root: Path) -> str:
    (root / "clip4.npy").rename(root / "other.npy")
    return "clip4 has no reconstruction"


def _gone(root: Path) -> str:
    for path in root.iterdir():
        path.unlink()
    root.rmdir()
    return "nothing to evaluate"


def _zero(root: Path) -> str:
    (root / "clip1.npy").write_bytes(b"")
    return "clip1.npy"


@pytest.mark.parametrize("spoil", [_cut, _emptied, _unpaired, _gone, _zero])
def test_a_spoilt_folder_ends_with_code_2_and_nothing_written(
    sets: Path, tmp_path: Path, monkeypatch, capsys, spoil
) -> None:
    made = write_set(tmp_path / "made", MADE, "npy")
    wanted = spoil(made)
    out = tmp_path / "out"
    said = refused(
        monkeypatch,
        capsys,
        *(sets / "true", made, *QUICK, "--json", out / "m.json", "--html", out / "p.html"),
    )
    assert wanted in said
    assert str(made) in said
    assert not out.exists()


def test_unpaired_clips_can_be_left_out(sets: Path, tmp_path: Path) -> None:
    made = write_set(tmp_path / "made", MADE, "npy")
    _unpaired(made)
    found = scored(tmp_path / "m.json", sets / "true", made, "--allow-unpaired")
    assert found["metrics"]["psnr"]["n"] == N - 1
    pairing = found["provenance"]["rules"]["pairing"]
    assert pairing["unpaired_true"] == ["clip4"]
    assert pairing["unpaired_reconstructed"] == ["other"]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["--metrics", "ssim"], "unknown metric 'ssim'"),
        (["--permutations", "3"], "permutations"),
        (["--against", "nowhere"], "nowhere"),
        (["--training", "nowhere"], "nowhere"),
        (["--clip-model", "nowhere", "--metrics", "identification@clip"], "nowhere"),
        (["--device", "abacus", "--clip-model", "embedded:clip"], "abacus"),
        (["--layout", "left-right"], "one folder whose pictures show both"),
        (["--size", "huge"], "size cannot be read"),
        (["--group-column", "scene"], "no column scene"),
        (["--json", "{out}/x", "--csv", "{out}/x"], "two outputs have one name"),
        (["--html", "{out}"], "an output is a folder"),
        (["--frames", "often"], "often"),
    ],
)
def test_an_impossible_request_is_refused(
    sets: Path, tmp_path: Path, monkeypatch, capsys, arguments: list[str], wanted: str
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [text.format(out=tmp_path) for text in arguments]
    said = refused(monkeypatch, capsys, sets / "true", sets / "made", *given)
    assert wanted in said
    assert list(tmp_path.iterdir()) == []


def test_one_folder_needs_a_layout(sets: Path, monkeypatch, capsys) -> None:
    assert "--layout" in refused(monkeypatch, capsys, sets / "true")


def test_a_request_to_terminate_cleans_up() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit, match="143"), ended_orderly():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
