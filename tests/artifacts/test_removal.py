"""What `make clean` removes: what a run made, and nothing of a person's own."""

from brainflix.artifacts.layout import Layout
from brainflix.artifacts.removal import remove_run, run_folders
from brainflix.config import freeze, validate
from brainflix.simulation import stage

SIMULATION = {"voxels": 100, "train_runs": 2, "train_clips_per_run": 4, "test_clips": 2}


def layout_in(folder):
    """Return the layout of a configuration with a simulated study and one of a person's own."""
    study = {"subjects": ["sub-01"]}
    raw = {
        "recipe": "brain_netflix",
        "results": str(folder / "results"),
        "studies": {
            "films": {**study, "root": str(folder / "data/films"), "simulation": SIMULATION},
            "claimed": {**study, "root": str(folder / "data/claimed"), "simulation": SIMULATION},
            "mine": {**study, "root": str(folder / "data/mine")},
        },
        "experiments": {"first": {"cohorts": {"films": "all"}}},
    }
    return Layout(validate(raw))


def write(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    return path


def test_only_what_the_run_made_is_removed(tmp_path):
    layout = layout_in(tmp_path)
    stage.simulate_stimuli(tmp_path / "data/films", layout.config.studies["films"].simulation)
    frozen = freeze(layout.config)
    made = [layout.stimuli("films"), layout.responses("mine", "sub-01"), layout.page("first")]
    own = [
        tmp_path / "data/mine/sub-01/bold.nii.gz",
        tmp_path / "data/claimed/notes.txt",  # in a simulated study's place, but not simulated
        tmp_path / "data/fetched/file.h5",
        tmp_path / "results/other_experiment/videos/a.h5",
        tmp_path / "results/notes.txt",
    ]
    for path in [*made, *own]:
        write(path)
    listed = run_folders(layout)
    assert remove_run(layout) == listed
    assert not [path for path in [*made, frozen, tmp_path / "data/films"] if path.exists()]
    assert all(path.read_text() == "x" for path in own)
    assert run_folders(layout) == []


def test_empty_folders_go_as_well(tmp_path):
    layout = layout_in(tmp_path)
    write(layout.page("first"))
    remove_run(layout)
    assert not (tmp_path / "results").exists()
