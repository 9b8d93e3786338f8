"""Removing what a configuration's run made, and nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from brainflix.artifacts.layout import Layout
from brainflix.config import frozen_path


def run_folders(layout: Layout) -> list[Path]:
    """Return the folders and files that a run of the configuration made and that exist.

    These are the folders of its studies and experiments below the results, the frozen
    configuration, and the folders of simulated studies, where the study says that it is simulated.
    """
    config = layout.config
    found = [layout.results / name for name in (*config.studies, *config.experiments)]
    found.append(frozen_path(config))
    for study in config.studies.values():
        if study.simulation is not None and _is_simulated(Path(study.root)):
            found.append(Path(study.root))
    return [path for path in found if path.exists()]


def _is_simulated(root: Path) -> bool:
    """Tell whether a study's description says that brainflix simulated it."""
    try:
        text = (root / "dataset_description.json").read_text(encoding="utf-8")
        made_by = json.loads(text).get("GeneratedBy", [])
        return any("brainflix" in str(part.get("Name", "")) for part in made_by)
    except (OSError, ValueError, AttributeError):
        return False


def remove_run(layout: Layout) -> list[Path]:
    """Remove what :func:`run_folders` lists, and folders that are empty then; return the list."""
    removed = run_folders(layout)
    for path in removed:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    parents = {path.parent for path in removed} | {layout.results}
    for parent in sorted(parents, key=lambda path: -len(path.parts)):
        if parent.is_dir() and not any(parent.iterdir()) and parent.resolve() != Path.cwd():
            parent.rmdir()
    return removed
