"""The command line: a subcommand a stage, files in, files out, one section of the configuration.

A stage is imported when its arguments have been read, so that help and mistakes are answered at
once. Whatever a person can mend (:class:`brainflix.errors.BrainflixError`) ends in one message and
exit code 2.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from brainflix import __version__, config
from brainflix.console import log_to, say
from brainflix.errors import BrainflixError

app = typer.Typer(
    name="brainflix",
    help="Reconstruct the video a person watched from their fMRI. A command is a stage.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Options = Annotated[
    str, typer.Option("--options", help="The stage's section: JSON text or a YAML file.")
]
Source = Annotated[
    str, typer.Option("--source", help="The study's reader, root and options: JSON or a YAML file.")
]
Subject = Annotated[str, typer.Option("--subject", help="The subject's label, such as sub-01.")]
Out = Annotated[Path, typer.Option("--out", help="Where the artifact goes.")]
Responses = Annotated[
    list[str], typer.Option("--responses", metavar="STUDY/SUBJECT=FILE", help="Repeat a subject.")
]
Targets = Annotated[
    list[str], typer.Option("--targets", metavar="STUDY/TARGET=FILE", help="Repeat a target.")
]
Stimuli = Annotated[
    list[str], typer.Option("--stimuli", metavar="STUDY=FILE", help="Repeat a study.")
]


_CLIPS, _METRICS, _OUTPUT = "Clips", "Metrics and models", "Output (else a table is printed)"
_MODEL = "a folder, a hub id or embedded:NAME."


def named(values: Iterable[str], option: str) -> dict[str, Path]:
    """Return ``NAME=FILE`` arguments as a mapping, in their order.

    Raises
    ------
    typer.BadParameter
        When a value has no name or no file, or a name is given twice.
    """
    files: dict[str, Path] = {}
    for value in values:
        name, separator, path = value.partition("=")
        if not (name and separator and path):
            raise typer.BadParameter(f"{value!r} is not NAME=FILE", param_hint=option)
        if name in files:
            raise typer.BadParameter(f"{name} is given twice", param_hint=option)
        files[name] = Path(path)
    return files


def nested(values: Iterable[str], option: str) -> dict[str, dict[str, Path]]:
    """Return ``OUTER/INNER=FILE`` arguments as a mapping of mappings, in their order."""
    files: dict[str, dict[str, Path]] = {}
    for name, path in named(values, option).items():
        outer, separator, inner = name.partition("/")
        if not (outer and separator and inner):
            raise typer.BadParameter(f"{name!r} is not STUDY/NAME", param_hint=option)
        files.setdefault(outer, {})[inner] = path
    return files


def _show_version(asked: bool) -> None:
    if asked:
        print(f"brainflix {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    log: Annotated[
        Path | None, typer.Option(help="A file for all output; the terminal keeps the main lines.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Reconstruct the video a person watched from their fMRI. A command is a stage."""
    if log is not None:
        log_to(log)


@app.command()
def simulate(
    root: Annotated[Path, typer.Argument(help="The folder that the study is written to.")],
    subjects: Annotated[list[str] | None, typer.Option(help="Repeat a subject.")] = None,
    kind: Annotated[
        Literal["movie", "event_related"] | None, typer.Option(help="Instead of the options'.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the options'.")] = None,
    options: Options = "{}",
    stimuli: Annotated[
        bool, typer.Option(help="Write the stimuli, or use those that are there.")
    ] = True,
) -> None:
    """Write a simulated study: clips, and the fMRI of subjects who watch them."""
    section = config.load_options(config.SimulationConfig, options)
    chosen = {"kind": kind, "seed": seed}
    values = section.model_dump() | {k: v for k, v in chosen.items() if v is not None}
    section = config.parse(config.SimulationConfig, values)
    from brainflix.simulation import stage

    if stimuli:
        stage.simulate_stimuli(root, section)
    for subject in subjects or ():
        stage.simulate_subject(root, subject, section)


@app.command()
def decode(source: Source, out: Out, options: Options = "{}") -> None:
    """Decode a study's clips to frames of one form."""
    study = config.load_options(config.StudySource, source)
    section = config.load_options(config.StimuliConfig, options)
    from brainflix.targets.decode import decode_study

    decode_study(study, section, out)


@app.command()
def encode(stimuli: Annotated[Path, typer.Argument()], options: Options, out: Out) -> None:
    """Compute one target from decoded clips."""
    section = config.load_options(config.TargetConfig, options)
    from brainflix.targets import stage

    stage.encode(stimuli, section, out)


@app.command()
def clean(source: Source, subject: Subject, out: Out, options: Options = "{}") -> None:
    """Trim, detrend and z-score a subject's runs."""
    study = config.load_options(config.StudySource, source)
    section = config.load_options(config.CleaningConfig, options)
    from brainflix.preprocessing import stage

    stage.clean(study, subject, section, out)


@app.command()
def select(
    cleaned: Annotated[Path, typer.Argument()],
    out: Out,
    options: Options = "{}",
    plot: Annotated[Path | None, typer.Option(help="A figure of the selection.")] = None,
) -> None:
    """Judge voxels by their reproducibility over training repeats."""
    section = config.load_options(config.SelectionConfig, options)
    from brainflix.preprocessing import stage

    stage.select(cleaned, section, out, plot)


@app.command()
def extract(
    cleaned: Annotated[Path, typer.Argument()],
    voxels: Annotated[Path, typer.Argument()],
    out: Out,
    options: Options = "{}",
) -> None:
    """Cut the selected voxels' response to each presentation of a clip."""
    section = config.load_options(config.ResponseConfig, options)
    from brainflix.preprocessing import stage

    stage.extract(cleaned, voxels, section, out)


@app.command()
def align(
    responses: Responses,
    targets: Annotated[
        list[str], typer.Option("--targets", metavar="STUDY=FILE", help="Repeat a study.")
    ],
    stimuli: Stimuli,
    out: Out,
    options: Options = "{}",
) -> None:
    """Fit the shared space of all subjects."""
    subjects = named(responses, "--responses")
    aligned = named(targets, "--targets")
    studies = named(stimuli, "--stimuli")
    section = config.load_options(config.AlignmentConfig, options)
    from brainflix.alignment import stage

    stage.align(subjects, aligned, studies, section, out)


@app.command()
def regress(
    shared: Annotated[Path, typer.Argument(help="The alignment's shared.h5.")],
    responses: Responses,
    targets: Targets,
    stimuli: Stimuli,
    options: Options,
    out: Out,
) -> None:
    """Predict the targets from the shared space, by a network and by ridge."""
    subjects = named(responses, "--responses")
    regressed = nested(targets, "--targets")
    studies = named(stimuli, "--stimuli")
    section = config.load_options(config.RegressionConfig, options)
    from brainflix.regression import stage

    stage.regress(shared, subjects, regressed, studies, section, out)


@app.command()
def generate(
    predictions: Annotated[Path, typer.Argument(help="The regression's predictions.h5.")],
    stimuli: Annotated[Path, typer.Argument(help="The study's stimuli.h5.")],
    study: Annotated[str, typer.Option(help="The study's name.")],
    subject: Subject,
    targets: Annotated[
        list[str], typer.Option("--targets", metavar="TARGET=FILE", help="Repeat a target.")
    ],
    out: Out,
    options: Options = "{}",
    mp4: Annotated[Path | None, typer.Option(help="A folder for the clips as mp4.")] = None,
) -> None:
    """Turn predicted targets into videos, with the baselines' beside them."""
    steering = named(targets, "--targets")
    section = config.load_options(config.GenerationConfig, options)
    from brainflix.generation import stage

    stage.generate(predictions, steering, stimuli, study, subject, section, out, mp4)


@app.command()
def evaluate(
    true: Annotated[
        str,
        typer.Argument(help="A folder of clips; or FILE.h5, FILE.h5::DATASET, FILE.npy."),
    ],
    reconstructed: Annotated[
        str | None, typer.Argument(help="The same for the reconstructions; none with --layout.")
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            help="Where one picture shows both: left-right (true at the left), right-left, "
            "top-bottom, bottom-top, or panels such as 'true|_|reconstructed'.",
            rich_help_panel=_CLIPS,
        ),
    ] = None,
    gap: Annotated[
        int, typer.Option(min=0, help="Pixels between panels.", rich_help_panel=_CLIPS)
    ] = 0,
    pairs: Annotated[
        Path | None,
        typer.Option(
            help="A table with columns true, reconstructed, and subject, scene, ... if there are.",
            rich_help_panel=_CLIPS,
        ),
    ] = None,
    allow_unpaired: Annotated[
        bool,
        typer.Option(
            "--allow-unpaired", help="Leave out clips without a partner.", rich_help_panel=_CLIPS
        ),
    ] = False,
    frames: Annotated[
        Literal["even", "time"],
        typer.Option(
            help="Frames to compare: evenly spaced over each clip, or those on screen together.",
            rich_help_panel=_CLIPS,
        ),
    ] = "even",
    size: Annotated[
        str,
        typer.Option(
            help="true: reconstructions take the true clips' size; HxW: both take this one.",
            rich_help_panel=_CLIPS,
        ),
    ] = "true",
    groups: Annotated[
        Path | None,
        typer.Option(help="A table with a row a clip: scene, segment, ...", rich_help_panel=_CLIPS),
    ] = None,
    group_column: Annotated[
        str | None,
        typer.Option(help="Its column whose values are resampled.", rich_help_panel=_CLIPS),
    ] = None,
    training: Annotated[
        str | None,
        typer.Option(help="The training clips, for baselines and audits.", rich_help_panel=_CLIPS),
    ] = None,
    oracle: Annotated[
        str | None,
        typer.Option(help="What the generator makes of the truth.", rich_help_panel=_CLIPS),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(help="Another system's clips, for differences.", rich_help_panel=_CLIPS),
    ] = None,
    windows: Annotated[
        Path | None,
        typer.Option(
            help="A table of volumes a trial: run, split, first, last.", rich_help_panel=_CLIPS
        ),
    ] = None,
    metrics: Annotated[
        str,
        typer.Option(help="all, legacy, sound, or names: ssim@rgb,psnr", rich_help_panel=_METRICS),
    ] = "all",
    clip_model: Annotated[
        str | None, typer.Option(help=f"A CLIP: {_MODEL}", rich_help_panel=_METRICS)
    ] = None,
    frame_classifier: Annotated[
        str | None, typer.Option(help="Of frames.", rich_help_panel=_METRICS)
    ] = None,
    video_classifier: Annotated[
        str | None, typer.Option(help="Of clips.", rich_help_panel=_METRICS)
    ] = None,
    vae: Annotated[
        str | None, typer.Option(help="For latent space.", rich_help_panel=_METRICS)
    ] = None,
    video_model: Annotated[
        str | None, typer.Option(help="Features of whole clips.", rich_help_panel=_METRICS)
    ] = None,
    perceptual_model: Annotated[
        str | None, typer.Option(help="Weights of LPIPS.", rich_help_panel=_METRICS)
    ] = None,
    permutations: Annotated[int, typer.Option(rich_help_panel=_METRICS)] = 2000,
    bootstrap: Annotated[int, typer.Option(rich_help_panel=_METRICS)] = 2000,
    seed: Annotated[int, typer.Option(rich_help_panel=_METRICS)] = 0,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, ...", rich_help_panel=_METRICS)
    ] = None,
    as_json: Annotated[
        Path | None, typer.Option("--json", help="All results.", rich_help_panel=_OUTPUT)
    ] = None,
    as_csv: Annotated[
        Path | None, typer.Option("--csv", help="A row a score.", rich_help_panel=_OUTPUT)
    ] = None,
    as_parquet: Annotated[
        Path | None, typer.Option("--parquet", help="The same.", rich_help_panel=_OUTPUT)
    ] = None,
    as_html: Annotated[
        Path | None, typer.Option("--html", help="A page to read.", rich_help_panel=_OUTPUT)
    ] = None,
    as_latex: Annotated[
        Path | None, typer.Option("--latex", help="A table to print.", rich_help_panel=_OUTPUT)
    ] = None,
) -> None:
    """Measure reconstructed videos of your own: two folders in, every number in its context out."""
    models = {
        "clip_model": clip_model,
        "frame_classifier": frame_classifier,
        "video_classifier": video_classifier,
        "vae_model": vae,
        "video_model": video_model,
        "perceptual_model": perceptual_model,
    }
    outputs = {
        "json": as_json,
        "csv": as_csv,
        "parquet": as_parquet,
        "html": as_html,
        "latex": as_latex,
    }
    from brainflix.evaluation.request import Request, evaluation_options
    from brainflix.report.standalone import write_evaluation

    section = evaluation_options(
        metrics, models, permutations=permutations, bootstrap=bootstrap, seed=seed, device=device
    )
    write_evaluation(
        Request(
            true=true,
            reconstructed=reconstructed,
            options=section,
            layout=layout,
            gap=gap,
            pairs=pairs,
            groups=groups,
            group_column=group_column,
            windows=windows,
            frames=frames,
            size=size,
            allow_unpaired=allow_unpaired,
            training=training,
            oracle=oracle,
            against=against,
        ),
        {name: path for name, path in outputs.items() if path is not None},
    )


@app.command()
def score(
    predictions: Annotated[Path, typer.Argument(help="The regression's predictions.h5.")],
    videos: Annotated[
        list[str], typer.Option("--videos", metavar="STUDY/SUBJECT=FILE", help="Repeat a subject.")
    ],
    stimuli: Stimuli,
    targets: Targets,
    out: Out,
    options: Options = "{}",
    compare: Annotated[
        Path | None, typer.Option(help="Another experiment's predictions.h5.")
    ] = None,
) -> None:
    """Measure an experiment's videos, beside chance, baselines and ceiling."""
    subjects = named(videos, "--videos")
    studies = named(stimuli, "--stimuli")
    regressed = nested(targets, "--targets")
    section = config.load_options(config.EvaluationConfig, options)
    from brainflix.evaluation import stage

    stage.evaluate(subjects, studies, predictions, regressed, section, out, compare)


@app.command()
def report(
    experiment: Annotated[str, typer.Argument()],
    artifacts: Annotated[
        list[str], typer.Option("--artifacts", metavar="NAME=FILE", help="Repeat an artifact.")
    ],
    out: Out,
    configuration: Annotated[str, typer.Option(help="What was run, as JSON.")] = "{}",
) -> None:
    """Write the page that shows an experiment's results."""
    content = _json(configuration)
    shown = named(artifacts, "--artifacts")
    from brainflix.report import stage

    stage.report(experiment, content, shown, out)


@app.command("train-embedded")
def train_embedded(
    out: Annotated[Path, typer.Option("--out", help="A folder for the models.")],
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Train the embedded models anew (an hour or two on 2 cores)."""
    from brainflix.embedded.train import train

    train(out, seed)


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
def inspect(
    path: Annotated[
        Path, typer.Argument(help="An artifact; or an image, array file, video or metrics.json.")
    ],
) -> None:
    """Show what a file holds and, of an artifact, where it comes from."""
    from brainflix.check.inspection import inspect as described

    print(described(path))


def _json(text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--configuration") from error
    if not isinstance(content, dict):
        raise typer.BadParameter("not a JSON object", param_hint="--configuration")
    return content


def main() -> None:
    """Run the command line; exit code 2 for what a person can mend, 1 for a defect."""
    try:
        app()
    except BrainflixError as error:
        say(f"brainflix: {error}")
        sys.exit(2)
    except Exception:
        say(traceback.format_exc().rstrip())
        sys.exit(1)
