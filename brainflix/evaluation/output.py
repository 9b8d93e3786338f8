"""Results as files and as text: JSON, CSV, Parquet, LaTeX, and a table for the terminal."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from brainflix.artifacts.store import atomic_path, write_json
from brainflix.evaluation.evaluate import COLUMNS, Row
from brainflix.metrics.catalogue import EVERYTHING

BASELINE_NAMES = {
    "grey": "grey",
    "still_first_frame": "still",
    "shuffled": "shuffled",
    "mean_training_clip": "mean clip",
    "random_training_clip": "random clip",
    "nearest_training_clip": "nearest clip",
    "ridge": "ridge",
    "oracle": "oracle",
}
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}


def finite(value: Any) -> Any:
    """Return JSON values in which numbers that are not finite are None."""
    if isinstance(value, Mapping):
        return {str(key): finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_content(path: Path, content: Mapping[str, Any]) -> None:
    """Write the results as JSON; infinite and undefined numbers become null."""
    write_json(path, finite(content))


def write_csv(path: Path, rows: Iterable[Row]) -> None:
    """Write a row a subject, clip, metric and variant; numbers keep all their digits."""
    with atomic_path(path) as temporary:
        with open(temporary, "w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows((*row[:-1], repr(float(row[-1]))) for row in rows)


def write_parquet(path: Path, rows: Sequence[Row]) -> None:
    """Write what :func:`write_csv` writes, as Parquet."""
    import pandas as pd

    table = pd.DataFrame(list(rows), columns=list(COLUMNS))
    with atomic_path(path) as temporary:
        table.to_parquet(temporary, index=False)


def metric_order(names: Iterable[str]) -> list[str]:
    """Return metrics in the order in which they are defined; a family's members by name."""
    place = {name: k for k, name in enumerate(EVERYTHING)}
    place["attribute"] = place.get("attributes", len(place))

    def key(name: str) -> tuple[int, str]:
        family = name if name in place else name.partition("@")[0]
        return place.get(family, len(place)), name

    return sorted(names, key=key)


def baseline_order(entries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the baselines that some metric has, in the order in which they are shown."""
    found = {name for entry in entries.values() for name in entry["baselines"]}
    return [name for name in BASELINE_NAMES if name in found] + sorted(found - {*BASELINE_NAMES})


def shown(value: float | None, digits: int = 3) -> str:
    """Return a number for a table: few digits, a dash where there is none."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    size = abs(value)
    places = digits if size < 10 else max(0, digits - (1 if size < 100 else 2))
    return f"{value:.{places}f}".replace("-", "−")


def shown_p(value: float | None) -> str:
    """Return a P value for a table."""
    if value is None:
        return "–"
    return "< .001" if value < 0.001 else f"{value:.3f}"


def shown_interval(bounds: Sequence[float | None] | None) -> str:
    """Return an interval for a table."""
    if bounds is None or None in bounds:
        return "–"
    return f"{shown(bounds[0])} to {shown(bounds[1])}"


def interval_head(content: Mapping[str, Any]) -> str:
    """Return what the intervals are called, such as ``95 % interval``."""
    known = content.get("provenance", {}).get("configuration", {})
    return f"{100 * known.get('confidence', 0.95):g} % interval"


def print_table(content: Mapping[str, Any], stream: Any = None) -> None:
    """Print the metrics as a table, and below it what was skipped and why."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(file=stream, soft_wrap=False)
    metrics = content["metrics"]
    wide = console.width >= 110
    names = baseline_order(metrics) if wide else ["grey"]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("metric", no_wrap=True)
    heads = ["value", interval_head(content), "chance", "P", "q", *map(_head, names)]
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for metric in metric_order(metrics):
        table.add_row(metric, *_cells(metrics[metric], names))
    console.print(table)
    by_reason: dict[str, list[str]] = {}
    for name, reason in content.get("skipped_metrics", {}).items():
        by_reason.setdefault(str(reason), []).append(name)
    for reason, skipped in by_reason.items():
        console.print(f"not computed ({reason}): {', '.join(skipped)}", highlight=False)


def _head(baseline: str) -> str:
    return BASELINE_NAMES.get(baseline, baseline)


def _cells(entry: Mapping[str, Any], baselines: Sequence[str]) -> list[str]:
    return [
        shown(entry["value"]),
        shown_interval(entry["interval"]),
        shown(entry["chance"]),
        shown_p(entry["p"]),
        shown_p(entry.get("q")),
        *(shown(entry["baselines"].get(name)) for name in baselines),
    ]


def latex(content: Mapping[str, Any], caption: str = "") -> str:
    """Return the metrics as a LaTeX table for a paper; it needs the package booktabs.

    Parameters
    ----------
    content : mapping
        As in the JSON file.
    caption : str
        Plain text; by default a sentence on what the columns are.
    """
    metrics = content["metrics"]
    names = baseline_order(metrics)
    interval = escape_latex(interval_head(content))
    heads = ["Metric", "Value", interval, "Chance", "$P$", "$q$"]
    heads += [escape_latex(_head(name)) for name in names]
    n = max((entry["n"] for entry in metrics.values()), default=0)
    words = escape_latex(caption) if caption else _caption(n)
    out = io.StringIO()
    out.write("% \\usepackage{booktabs}\n\\begin{table}\n  \\centering\n")
    out.write(f"  \\caption{{{words}}}\n  \\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}\n")
    out.write(f"    \\toprule\n    {' & '.join(heads)} \\\\\n    \\midrule\n")
    for metric in metric_order(metrics):
        cells = [escape_latex(metric), *(_number(c) for c in _cells(metrics[metric], names))]
        out.write(f"    {' & '.join(cells)} \\\\\n")
    out.write("    \\bottomrule\n  \\end{tabular}\n\\end{table}\n")
    return out.getvalue()


def _caption(n: int) -> str:
    return (
        f"Reconstructions of {n} clips. Intervals are bootstrapped, chance and $P$ come from "
        "permuted pairings, $q$ is $P$ after control of the false discovery rate; the remaining "
        "columns are trivial reconstructions scored by the same code."
    )


def _number(text: str) -> str:
    """Return a cell as LaTeX sets numbers."""
    for found, wanted in (("−", "$-$"), ("–", "--"), ("∞", r"$\infty$"), ("< ", r"$<$\,")):
        text = text.replace(found, wanted)
    return text


def escape_latex(text: str) -> str:
    """Return text in which LaTeX sees nothing special."""
    return "".join(_SPECIAL.get(character, character) for character in text)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
