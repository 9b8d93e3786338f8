"""The subcommand ``evaluate``: two folders of clips in, every number in its context out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from brainflix.cli.app import app

_CLIPS, _METRICS, _OUTPUT = "Clips", "Metrics and models", "Output (else a table is printed)"


_MODEL = "a folder, a hub id or embedded:NAME."


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
    from brainflix.evaluation.standalone.request import Request, evaluation_options
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
