"""Cleaning a run of the size of fsLR-91k: beside the time that nibabel takes to read it."""

import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np

from brainflix.preprocessing.cleaning import clean_rows, nuisance_basis

VOXELS, VOLUMES = 91282, 240


def main():
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.nii.gz"
        shape = (VOXELS // 26 + 1, 26, 1, VOLUMES)
        values = rng.normal(1000, 20, shape).astype(np.int16)
        nib.Nifti1Image(values, np.eye(4)).to_filename(path)
        start = time.perf_counter()
        data = nib.load(path).get_fdata(dtype=np.float32)
        read = time.perf_counter() - start
    rows = np.ascontiguousarray(data.reshape(-1, VOLUMES).T[:, :VOXELS])
    start = time.perf_counter()
    cleaned = clean_rows(rows, nuisance_basis(VOLUMES, 4))
    clean = time.perf_counter() - start
    assert cleaned.rows.shape == (VOLUMES, VOXELS)
    print(f"nibabel reads {VOXELS} x {VOLUMES} (gz, int16) in {read:.2f} s")
    print(f"detrending and z-scoring take            {clean:.2f} s")
    print(f"ratio of both to reading                 {(read + clean) / read:.2f}")


if __name__ == "__main__":
    main()
