"""A fitted component on disk: arrays as safetensors, all else as JSON, never a pickle."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from brainflix.artifacts.store import atomic_path
from brainflix.errors import ArtifactError

TENSORS, DESCRIPTION = "prior.safetensors", "prior.json"
_VERSION = 1


def write_folder(folder: Path, tensors: dict[str, NDArray[Any]], described: dict[str, Any]) -> None:
    """Write arrays and their description; equal contents give equal bytes.

    Parameters
    ----------
    folder : Path
        Made where it is missing.
    tensors : dict of str to ndarray
        Arrays by name.
    described : dict
        What JSON holds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = save({name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)})
    digest = hashlib.sha256(content).hexdigest()
    header = {"format": "brainflix prior", "version": _VERSION, "sha256": digest}
    text = json.dumps(header | described, indent=1, sort_keys=True, ensure_ascii=False)
    # the description goes last: with it, the folder is complete
    for name, data in ((TENSORS, content), (DESCRIPTION, (text + "\n").encode())):
        with atomic_path(folder / name) as temporary:
            Path(temporary).write_bytes(data)


def read_folder(folder: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read what :func:`write_folder` wrote.

    Raises
    ------
    ArtifactError
        When a file is missing, damaged, or of another format or version.
    """
    try:
        described = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        content = (folder / TENSORS).read_bytes()
    except (OSError, ValueError) as error:
        raise ArtifactError(
            "the prior cannot be read",
            expected=f"{DESCRIPTION} and {TENSORS}",
            found=str(error)[:200],
            where=folder,
            remedy="fit the prior again",
        ) from error
    header = described if isinstance(described, dict) else {}
    if (header.get("format"), header.get("version")) != ("brainflix prior", _VERSION):
        raise ArtifactError(
            "the folder does not hold a prior of this version",
            expected=f"brainflix prior, version {_VERSION}",
            found=f"{header.get('format')}, version {header.get('version')}",
            where=folder / DESCRIPTION,
            remedy="fit the prior again",
        )
    try:
        if hashlib.sha256(content).hexdigest() != header.get("sha256"):
            raise ValueError("another SHA-256 than the description has")
        return load(content), described
    except (ValueError, SafetensorError) as error:
        raise ArtifactError(
            "the prior's arrays are damaged or belong to another prior",
            expected=f"SHA-256 {header.get('sha256')}",
            found=str(error)[:200],
            where=folder / TENSORS,
            remedy="fit the prior again",
        ) from error
