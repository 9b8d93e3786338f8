"""The subcommand ``evaluate``: two folders of clips in, every number with its context out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from brainflix.cli.app import app

_CLIPS, _METRICS, _OUTPUT = "Clips", "Metrics and models", "Output (else a table is printed)"


_MODEL = "a folder, a hub id or embedded:NAME"


@app.command()
def evaluate(
    true: Annotated[
        str,
        typer.Argument(help="The true clips: a folder, FILE.h5, FILE.h5::DATASET or FILE.npy."),
    ],
    reconstructed: Annotated[
        str | None,
        typer.Argument(help="The reconstructed clips, likewise; not needed with --layout."),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            help="How one picture shows both: left-right (the true clip at the left), right-left, "
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
            help="A table with the columns true and reconstructed; also subject, scene and so on.",
            rich_help_panel=_CLIPS,
        ),
    ] = None,
    allow_unpaired: Annotated[
        bool,
        typer.Option(
            "--allow-unpaired", help="Leave out clips that have no partner.", rich_help_panel=_CLIPS
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
            help="true: reconstructions are resized to the true clips; HxW: both are resized.",
            rich_help_panel=_CLIPS,
        ),
    ] = "true",
    groups: Annotated[
        Path | None,
        typer.Option(
            help="A table with one row per clip: scene, segment and so on.", rich_help_panel=_CLIPS
        ),
    ] = None,
    group_column: Annotated[
        str | None,
        typer.Option(
            help="The column of the table whose groups are resampled.", rich_help_panel=_CLIPS
        ),
    ] = None,
    training: Annotated[
        str | None,
        typer.Option(help="The training clips, for baselines and audits.", rich_help_panel=_CLIPS),
    ] = None,
    oracle: Annotated[
        str | None,
        typer.Option(
            help="What the generator makes of the true vectors, as the ceiling.",
            rich_help_panel=_CLIPS,
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(help="Another system's clips, to compare with.", rich_help_panel=_CLIPS),
    ] = None,
    windows: Annotated[
        Path | None,
        typer.Option(
            help="A table of the volumes of each trial: run, split, first, last.",
            rich_help_panel=_CLIPS,
        ),
    ] = None,
    metrics: Annotated[
        str,
        typer.Option(
            help="all, legacy, sound, or names such as ssim@rgb,psnr.", rich_help_panel=_METRICS
        ),
    ] = "all",
    clip_model: Annotated[
        str | None, typer.Option(help=f"A CLIP: {_MODEL}.", rich_help_panel=_METRICS)
    ] = None,
    frame_classifier: Annotated[
        str | None,
        typer.Option(help=f"A classifier of frames: {_MODEL}.", rich_help_panel=_METRICS),
    ] = None,
    video_classifier: Annotated[
        str | None, typer.Option(help=f"A classifier of clips: {_MODEL}.", rich_help_panel=_METRICS)
    ] = None,
    vae: Annotated[
        str | None,
        typer.Option(
            help=f"A VAE, for identification in latent space: {_MODEL}.", rich_help_panel=_METRICS
        ),
    ] = None,
    video_model: Annotated[
        str | None,
        typer.Option(
            help=f"A model whose features describe whole clips: {_MODEL}.", rich_help_panel=_METRICS
        ),
    ] = None,
    perceptual_model: Annotated[
        str | None, typer.Option(help="The weights of LPIPS, a file.", rich_help_panel=_METRICS)
    ] = None,
    permutations: Annotated[
        int, typer.Option(help="Random pairings, for chance and P.", rich_help_panel=_METRICS)
    ] = 2000,
    bootstrap: Annotated[
        int, typer.Option(help="Bootstrap samples, for intervals.", rich_help_panel=_METRICS)
    ] = 2000,
    seed: Annotated[
        int, typer.Option(help="Seed of everything that is drawn.", rich_help_panel=_METRICS)
    ] = 0,
    device: Annotated[
        str | None,
        typer.Option(help="Where models compute: cpu, cuda and so on.", rich_help_panel=_METRICS),
    ] = None,
    as_json: Annotated[
        Path | None, typer.Option("--json", help="Write all results.", rich_help_panel=_OUTPUT)
    ] = None,
    as_csv: Annotated[
        Path | None, typer.Option("--csv", help="Write one row per score.", rich_help_panel=_OUTPUT)
    ] = None,
    as_parquet: Annotated[
        Path | None,
        typer.Option("--parquet", help="Write one row per score.", rich_help_panel=_OUTPUT),
    ] = None,
    as_html: Annotated[
        Path | None, typer.Option("--html", help="Write a page to read.", rich_help_panel=_OUTPUT)
    ] = None,
    as_latex: Annotated[
        Path | None,
        typer.Option("--latex", help="Write a table for a paper.", rich_help_panel=_OUTPUT),
    ] = None,
) -> None:
    """Measure reconstructed videos of your own: two folders in, every number with its context."""
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
    from brainflix.evaluation.standalone.request import EvaluationRequest, evaluation_options
    from brainflix.report.standalone import write_evaluation

    section = evaluation_options(
        metrics, models, permutations=permutations, bootstrap=bootstrap, seed=seed, device=device
    )
    write_evaluation(
        EvaluationRequest(
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
