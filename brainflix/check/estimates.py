"""What a run needs, from sizes alone.

The rules, with B = 4 bytes per value, V voxels, T volumes of all runs of a subject, R of its
longest run, N its trials, W the window in volumes, C clips of F frames of H x W pixels:

- memory: cleaning 4 R V B (a run as read, in double precision, and cleaned) + 0.3 GB; aligning
  2 N W V B over all subjects (responses, and as features) + 1 GB for torch. All voxels count as
  selected, so that this is an upper bound.
- disk: cleaned T V B, responses N W V B, stimuli 3 C F H W, and for targets of the embedded models
  12 kB per clip.
- time on one core: files are read at 60 MB/s, values cleaned at 20 million/s, frames decoded at 300
  per second (25 per second of film), ridge solved at 10 Gflop/s, with 11 solutions of
  N^2 (W V + N) per subject. Generating and judging videos depends on the models and the hardware
  and is left out.

They are meant to distinguish an afternoon from a week; measured times differ by a factor of two
and more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from brainflix.check.findings import Estimate
from brainflix.check.recordings import SubjectRuns
from brainflix.config.studies import PreprocessingConfig, StimuliConfig
from brainflix.studies.study import Clip

B = 4
TORCH, NUMPY = 1.0e9, 0.3e9  # bytes
READ, CLEAN, DECODE, FILM, SOLVE = 60e6, 20e6, 300.0, 25.0, 10e9
SOLUTIONS = 11  # ten folds and the whole
TARGETS = 12e3  # bytes per clip


def estimate(
    subjects: Mapping[str, SubjectRuns],
    clips: Sequence[Clip],
    options: PreprocessingConfig,
    stimuli: StimuliConfig,
) -> Estimate:
    """Return what a run needs, see the module's rules."""
    window = options.response.window
    volumes = {name: sum(run.n_volumes for run in one.runs) for name, one in subjects.items()}
    longest = {
        name: max((run.n_volumes for run in one.runs), default=0) for name, one in subjects.items()
    }
    voxels = {name: len(one.voxels or ()) for name, one in subjects.items()}
    trials = {name: sum(len(run.events) for run in one.runs) for name, one in subjects.items()}
    features = {
        name: voxels[name] * (1 if all(run.trialwise for run in one.runs) else window)
        for name, one in subjects.items()
    }
    cleaned = sum(volumes[name] * voxels[name] for name in subjects) * B
    responses = sum(trials[name] * features[name] for name in subjects) * B
    pixels = 3 * len(clips) * stimuli.frames * stimuli.height * stimuli.width
    size = sum(
        path.stat().st_size
        for path in {path for one in subjects.values() for run in one.runs for path in run.paths}
        if path.is_file()
    )
    flops = sum(
        SOLUTIONS * 2 * trials[name] ** 2 * (features[name] + trials[name]) for name in subjects
    )
    films = {clip.path for clip in clips if clip.path is not None}
    seconds = sum(clip.duration for clip in clips) if films else 0.0
    return Estimate(
        memory={
            "cleaning one subject": 4
            * max((longest[name] * voxels[name] for name in subjects), default=0)
            * B
            + NUMPY,
            "aligning all subjects": 2 * responses + TORCH,
        },
        disk={
            "cleaned runs": float(cleaned),
            "responses": float(responses),
            "stimuli": float(pixels),
            "targets": TARGETS * len(clips),
        },
        time={
            "reading and cleaning": size / READ + cleaned / B / CLEAN,
            "decoding": seconds * FILM / DECODE,
            "fitting": flops / SOLVE,
        },
    )
