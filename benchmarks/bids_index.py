"""How long it takes to find the runs of a study: our narrow index beside pybids, if that is there.

    python benchmarks/bids_index.py [--subjects 10] [--pybids PYTHON]

Writes empty files named as fMRIPrep names those of a study of 52 runs a subject, as BOLD Moments
has, and prints the time to import, and to list every run with its companions. ``--pybids`` names
the interpreter of an environment in which pybids is installed; the package itself does not need it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

OURS = """
from brainflix.config.experiment import StudySource
from brainflix.studies.readers import open_study
source = StudySource(reader="bids", root=ROOT, options={"space": "fsLR", "format": "cifti"})
START = time.perf_counter()
study = open_study(source)
FOUND = [r for s in study.subjects() for r in study.recordings(s)]
"""
THEIRS = """
from bids import BIDSLayout
START = time.perf_counter()
layout = BIDSLayout(ROOT, validate=False, is_derivative=True)
FOUND = [
    (file, layout.get_metadata(file.path))
    for file in layout.get(suffix="bold", extension=".dtseries.nii", space="fsLR")
]
"""
TIMED = """
import sys, time
BEGIN = time.perf_counter()
ROOT = sys.argv[1]
{code}
END = time.perf_counter()
print(f"{{len(FOUND)}} runs: import {{START - BEGIN:.2f}} s, index {{END - START:.2f}} s")
"""
SUFFIXES = (
    "desc-confounds_timeseries.tsv",
    "desc-confounds_timeseries.json",
    "desc-coreg_boldref.nii.gz",
    "hemi-L_space-fsaverage_bold.func.gii",
    "hemi-R_space-fsaverage_bold.func.gii",
    "space-MNI152NLin2009cAsym_desc-brain_mask.nii.gz",
    "space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz",
    "space-T1w_desc-preproc_bold.nii.gz",
    "space-fsLR_den-91k_bold.dtseries.nii",
)


def write_tree(root: Path, subjects: int) -> int:
    """Write the files of a study, all but sidecars empty; return how many."""
    (root / "dataset_description.json").write_text(
        '{"Name": "tree", "BIDSVersion": "1.8.0", "DatasetType": "derivative", '
        '"GeneratedBy": [{"Name": "fMRIPrep"}]}'
    )
    count = 1
    for subject in range(1, subjects + 1):
        for session in range(2, 6):
            folder = root / f"sub-{subject:02d}/ses-{session:02d}/func"
            folder.mkdir(parents=True)
            for task, runs in (("train", 10), ("test", 3)):
                for run in range(1, runs + 1):
                    stem = f"sub-{subject:02d}_ses-{session:02d}_task-{task}_run-{run}"
                    for suffix in SUFFIXES:
                        text = "{}" if suffix.endswith("json") else ""
                        (folder / f"{stem}_{suffix}").write_text(text)
                    sidecar = folder / f"{stem}_space-fsLR_den-91k_bold.json"
                    sidecar.write_text('{"RepetitionTime": 1.75}')
                    (folder / f"{stem}_events.tsv").write_text("onset\tduration\tstim_file\n")
                    count += len(SUFFIXES) + 2
    return count


def main() -> None:
    """Print both times, or only ours."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, default=10)
    parser.add_argument("--pybids", help="interpreter that has pybids", default=sys.executable)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        count = write_tree(Path(folder), options.subjects)
        print(f"{count} files")
        for name, code, python in (
            ("brainflix", OURS, sys.executable),
            ("pybids", THEIRS, options.pybids),
        ):
            command = [python, "-c", TIMED.format(code=code), folder]
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            failed = (result.stderr.strip().splitlines() or ["failed"])[-1]
            print(f"{name}: {result.stdout.strip() or failed}")


if __name__ == "__main__":
    main()
