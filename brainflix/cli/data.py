"""The subcommands about data: simulate, check, fetch, inspect, validate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from brainflix import config
from brainflix.cli.app import DATA, DEFAULT_CONFIG, ConfigFile, app, require


@app.command(rich_help_panel=DATA)
def simulate(
    root: Annotated[
        Path | None, typer.Argument(help="The folder that the study is written to.")
    ] = None,
    subjects: Annotated[
        list[str] | None,
        typer.Option("--subject", "--subjects", help="Repeat the option for each subject."),
    ] = None,
    kind: Annotated[
        Literal["movie", "event_related"] | None,
        typer.Option(help="The kind of study, in place of that of --options."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="The seed, in place of that of --options.")
    ] = None,
    options: Annotated[
        str, typer.Option(help="Options of the simulation: JSON text or a YAML file.")
    ] = "{}",
    stimuli: Annotated[
        bool, typer.Option(help="Write the stimuli, or use those that are there.")
    ] = True,
    study: Annotated[
        str | None, typer.Option(help="A simulated study of the configuration, in place of ROOT.")
    ] = None,
    path: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Write a simulated study: clips, and the fMRI of subjects who watch them."""
    if study is not None:
        checked = config.load_config(path)
        simulated = {n: s for n, s in checked.studies.items() if s.simulation is not None}
        require(study, simulated, "simulated study")
        root, section = Path(simulated[study].root), simulated[study].simulation
    else:
        section = config.load_options(config.SimulationConfig, options)
    if root is None or section is None:
        raise typer.BadParameter("name a folder, or a study with --study", param_hint="ROOT")
    chosen = {"kind": kind, "seed": seed}
    values = section.model_dump() | {k: v for k, v in chosen.items() if v is not None}
    section = config.parse(config.SimulationConfig, values)
    from brainflix.simulation import stage

    if stimuli:
        stage.simulate_stimuli(root, section)
    for subject in subjects or ():
        stage.simulate_subject(root, subject, section)


@app.command("train-embedded", rich_help_panel=DATA)
def train_embedded(
    out: Annotated[Path, typer.Option("--out", help="A folder for the models.")],
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Train the embedded models anew: about four hours on 2 cores; goes on where it stopped."""
    from brainflix.embedded.training.run import train

    train(out, seed)


@app.command(rich_help_panel=DATA)
def validate(
    path: Annotated[Path, typer.Argument(help="A configuration file.")] = Path("config.yaml"),
) -> None:
    """Check a configuration and say what it would run."""
    checked = config.load_config(path)
    for name, study in checked.studies.items():
        kind = f"simulated, {study.simulation.kind}" if study.simulation else study.reader
        print(f"study {name}: {study.root} ({kind}), {len(study.subjects)} subjects")
    for name, target in checked.targets.items():
        print(f"target {name}: {target.encoder} of {target.model}")
    for name in checked.experiments:
        cohorts = checked.subjects(name)
        who = "; ".join(f"{study}: {', '.join(chosen)}" for study, chosen in cohorts.items())
        print(f"experiment {name}: {who}")


@app.command(rich_help_panel=DATA)
def check(
    study: Annotated[
        str | None, typer.Argument(help="A study of the configuration; by default all of them.")
    ] = None,
    path: Annotated[Path, typer.Option("--config", help="The configuration.")] = Path(
        "config.yaml"
    ),
    root: Annotated[
        Path | None, typer.Option(help="A study's folder, in place of a configuration.")
    ] = None,
    reader: Annotated[str, typer.Option(help="The reader of what lies under --root.")] = "bids",
    options: Annotated[
        str, typer.Option(help="The reader's options: JSON text or a YAML file.")
    ] = "{}",
    subjects: Annotated[
        list[str] | None, typer.Option("--subject", help="Repeat a subject; by default all.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Neither read values nor decode videos.")
    ] = False,
    minutes: Annotated[
        float, typer.Option(min=0, help="Time for reading values, and again for decoding.")
    ] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")] = False,
) -> None:
    """Look at a study before a run: what it holds, all that is wrong, what a run needs.

    Exit code 2 when a run would fail.
    """
    from brainflix.check import command

    if root is None:
        requests = command.configured(path, study, subjects or ())
    else:
        requests = command.described(study, root, reader, options, subjects or ())
    checks = command.check_all(requests, quick=quick, seconds=60 * minutes, as_json=as_json)
    if any(one.fails for one in checks):
        raise typer.Exit(2)


@app.command(rich_help_panel=DATA)
def fetch(
    study: Annotated[
        str | None,
        typer.Argument(help="A published study, or an accession of OpenNeuro; none lists them."),
    ] = None,
    subjects: Annotated[
        list[str] | None, typer.Option("--subject", help="Repeat a subject; by default all.")
    ] = None,
    part: Annotated[
        str | None, typer.Option(help="Which part; of an accession, a prefix of its files.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option(help="The study's folder; by default data/STUDY.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list what would be fetched.")
    ] = False,
    base: Annotated[
        str | None, typer.Option(help="Address of a bucket in place of OpenNeuro's.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, max=32, help="Files at a time.")] = 4,
) -> None:
    """Fetch a published study: what needs no form is downloaded, for the rest the page is told."""
    from brainflix.fetch import catalogue, command

    if study is None:
        print(command.listing())
        return
    command.fetch(
        study,
        part=part,
        subjects=subjects or (),
        folder=to or Path("data") / study,
        base=base or catalogue.BUCKET,
        dry_run=dry_run,
        jobs=jobs,
    )


@app.command(rich_help_panel=DATA)
def inspect(
    path: Annotated[
        Path, typer.Argument(help="An artifact; or an image, array file, video or metrics.json.")
    ],
) -> None:
    """Show what a file holds and, of an artifact, where it comes from."""
    from brainflix.check.inspection import inspect as described

    print(described(path))


@app.command(rich_help_panel=DATA)
def remove(
    path: ConfigFile = DEFAULT_CONFIG,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list what would be removed.")
    ] = False,
) -> None:
    """Remove what a configuration's run made: its results and the studies that it simulated."""
    from brainflix.artifacts.layout import Layout
    from brainflix.artifacts.removal import remove_run, run_folders

    layout = Layout(config.load_config(path))
    for folder in run_folders(layout) if dry_run else remove_run(layout):
        print(folder)
