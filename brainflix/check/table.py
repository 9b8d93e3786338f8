"""The findings of a check as text for a terminal."""

from __future__ import annotations

from typing import Any

from brainflix.check.findings import Problem, StudyCheck, SubjectFacts

_COLUMNS = ("runs", "volumes", "spare", "trials", "repeats", "voxels", "bad", "TR", "read")
_LEGEND = (
    "runs, repeats: train/test; spare: s after the last stimulus; bad: voxels that are constant "
    "or not finite; TR: used/header, s; read: runs read to their end"
)


def size(n_bytes: float) -> str:
    """Return a number of bytes as text, such as 1.5 GB."""
    value, unit = float(n_bytes), "B"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def duration(seconds: float) -> str:
    """Return a number of seconds as text, such as 20 min."""
    if seconds < 1:
        return "< 1 s"
    for limit, unit, factor in ((120, "s", 1), (7200, "min", 60), (172800, "h", 3600)):
        if seconds < limit:
            return f"{seconds / factor:.0f} {unit}"
    return f"{seconds / 86400:.1f} days"


def show(check: StudyCheck, console: Any) -> None:
    """Print the findings to a rich console."""
    from rich.markup import escape

    console.print(f"[bold]{escape(check.study)}[/]: {escape(check.root)} (reader {check.reader})")
    if check.subjects:
        console.print(_subjects(check))
        console.print(_stimuli(check))
    for notice in check.notices:
        console.print(f"note: {escape(notice)}")
    for problem in check.problems:
        console.print(_problem(problem))
    if any(facts.voxels for facts in check.subjects):
        console.print(_estimate(check))
    failing = sum(problem.severity == "fails" for problem in check.problems)
    doubtful = len(check.problems) - failing
    if failing:
        console.print(
            f"[bold red]A run would fail[/]: {failing} problem{'s' * (failing > 1)} to solve"
            + _doubts(doubtful, ", ")
        )
    else:
        console.print("[bold green]Ready to run[/]" + _doubts(doubtful, ", "))


def _doubts(count: int, before: str) -> str:
    return f"{before}{count} doubtful" if count else ""


def _subjects(check: StudyCheck) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        caption=_LEGEND,
        caption_justify="left",
    )
    table.add_column("subject", no_wrap=True)
    for title in _COLUMNS:
        table.add_column(title, justify="right", no_wrap=True)
    for facts in check.subjects:
        table.add_row(*_cells(facts))
    return table


def _cells(facts: SubjectFacts) -> list[str]:
    runs = facts.train_runs + facts.test_runs
    differ = facts.header_time and facts.header_time != facts.repetition_time
    times = f"{facts.repetition_time or '-'}/{facts.header_time or '-'}"
    return [
        facts.subject,
        f"{facts.train_runs}/{facts.test_runs}",
        facts.volumes or "-",
        facts.spare or "-",
        str(facts.trials),
        f"{facts.train_repeats or '-'}/{facts.test_repeats or '-'}",
        f"{facts.voxels:,}",
        f"{facts.unusable:,}" if facts.runs_read else "?",
        f"[yellow]{times}[/]" if differ else times,
        f"{facts.runs_read}/{runs}",
    ]


def _stimuli(check: StudyCheck) -> str:
    facts = check.stimuli
    clips = f"{facts.train_clips} training and {facts.test_clips} test clips"
    files = f", {facts.files_decoded} of {facts.files} files decoded" if facts.files else ""
    total = f", {duration(facts.seconds)} in all, {facts.with_captions} with captions"
    return f"{clips}{files}{total}"


def _problem(problem: Problem) -> str:
    from rich.markup import escape

    mark = "[red]fails[/]   " if problem.severity == "fails" else "[yellow]doubtful[/]"
    lines = [f"{mark} {escape(problem.what)}"]
    for label, text in (
        ("expected", problem.expected),
        ("found", problem.found),
        ("where", problem.where),
        ("what to do", problem.remedy),
    ):
        if text:
            lines.append(f"           {label}: {escape(text)}")
    return "\n".join(lines)


def _estimate(check: StudyCheck) -> str:
    needs = check.estimate
    memory = ", ".join(f"{size(value)} {what}" for what, value in needs.memory.items())
    disk = ", ".join(f"{size(value)} {what}" for what, value in needs.disk.items())
    time = ", ".join(f"{duration(value)} {what}" for what, value in needs.time.items())
    return (
        f"a run needs about\n  memory: {memory}\n"
        f"  disk:   {size(sum(needs.disk.values()))}: {disk}\n"
        f"  time:   {duration(sum(needs.time.values()))} on one core: {time}; "
        "generating videos comes on top"
    )
