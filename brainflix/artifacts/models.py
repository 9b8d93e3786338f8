"""The artifact "model": a folder that a stage of the experiment made, with what made it."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

MODEL = "brainflix_model.json"
"""Written last, so that its presence says that the folder is whole."""


def write_model_card(folder: Path, kind: str, options: BaseModel, code: str) -> None:
    """Write by what a model was made: the component's section and a digest of the code."""
    from brainflix.artifacts.store import write_json  # imports HDF5, which the layout does not

    write_json(
        folder / MODEL, {"kind": kind, "options": options.model_dump(mode="json"), "code": code}
    )
