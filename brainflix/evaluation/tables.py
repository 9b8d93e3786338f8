"""Results as text: a table for the terminal, and one for a paper in LaTeX."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from brainflix.artifacts.store import atomic_path
from brainflix.evaluation.results import Entry, Results
from brainflix.evaluation.wording import (
    baseline_order,
    by_reason,
    interval,
    interval_head,
    metric_order,
    number,
    p_value,
    system_name,
)

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


def print_table(results: Results, stream: Any = None) -> None:
    """Print the metrics as a table, and below it which were skipped and why."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(file=stream, soft_wrap=False)
    metrics = results.metrics
    wide = console.width >= 110
    names = baseline_order(metrics) if wide else ["grey"]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("metric", no_wrap=True)
    heads = ["value", interval_head(results), "chance", "P", "q", *map(system_name, names)]
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for metric in metric_order(metrics):
        table.add_row(metric, *_cells(metrics[metric], names))
    console.print(table)
    for reason, skipped in by_reason(results.skipped_metrics).items():
        console.print(f"not computed ({reason}): {', '.join(skipped)}", highlight=False)


def _cells(entry: Entry, baselines: Sequence[str]) -> list[str]:
    return [
        number(entry.value),
        interval(entry.interval),
        number(entry.chance),
        p_value(entry.p),
        p_value(entry.q),
        *(number(entry.baselines.get(name)) for name in baselines),
    ]


def latex(results: Results, caption: str = "") -> str:
    """Return the metrics as a LaTeX table for a paper; it needs the package booktabs.

    Parameters
    ----------
    results : Results
    caption : str
        Plain text; by default a sentence that says what the columns are.
    """
    metrics: Mapping[str, Entry] = results.metrics
    names = baseline_order(metrics)
    bounds = escape_latex(interval_head(results))
    heads = ["Metric", "Value", bounds, "Chance", "$P$", "$q$"]
    heads += [escape_latex(system_name(name)) for name in names]
    n = max((entry.n for entry in metrics.values()), default=0)
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
