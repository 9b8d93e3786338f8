"""Readers as components: imported when used, with options that are validated once."""

import subprocess
import sys

import pytest
from support.complaints import complains

from brainflix.components import READERS
from brainflix.config.base import Section
from brainflix.config.studies import StudySource
from brainflix.errors import ConfigError
from brainflix.provenance import imported_modules
from brainflix.studies.readers import open_study, reader_class, reader_options
from brainflix.studies.study import Study, StudyForms


def classes(name):
    reader = READERS[name]
    return list(reader.FORMS.values()) if issubclass(reader, StudyForms) else [reader]


def source(reader, **options):
    return StudySource(reader=reader, root="/no/such/study", options=options)


@pytest.mark.parametrize("name", sorted(READERS))
def test_each_reader_names_its_options(name):
    for reader in classes(name):
        assert issubclass(reader, Study)
        assert issubclass(reader.Options, Section)
        assert reader.Options.model_fields
        assert ("form" in reader.Options.model_fields) == issubclass(READERS[name], StudyForms)
    assert READERS.module(name) in sys.modules


def test_a_reader_is_imported_when_its_name_is_used():
    code = (
        "import sys; from brainflix.components import READERS; import brainflix.studies.readers\n"
        "readers = {READERS.module(name) for name in READERS}\n"
        "assert not readers & set(sys.modules), readers & set(sys.modules)\n"
        "READERS['mosaic']\n"
        "print(*(readers & set(sys.modules)))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [READERS.module("mosaic")]


def test_the_options_of_a_study_are_validated_without_the_study():
    options = reader_options(source("bids", space="T1w"))
    assert (type(options), options.space) == (reader_class(source("bids")).Options, "T1w")
    assert reader_options(source("cc2017", form="mni", mask="m.nii")).mask == "m.nii"


@pytest.mark.parametrize(
    ("reader", "options", "words"),
    [
        ("bids", {"spcae": "T1w"}, ("options.spcae: unknown key, did you mean space?", "stimuli")),
        ("cc2017", {"frm": "mni"}, ("options.frm: unknown key, did you mean form?",)),
        ("had", {"form": "cycles", "test_run": [1]}, ("did you mean test_runs?", "subjects")),
        (
            "arrays",
            {
                "subjects": {"sub-01": {"train": {"response": "a.npy"}}},
                "stimuli": {"train": "b.npy"},
                "picture": {"heigth": 3},
            },
            (
                "options.picture.heigth: unknown key, did you mean height?",
                "options.subjects.sub-01.train.response: unknown key, did you mean responses?",
                "options.subjects.sub-01.train.responses: Field required",
                "height, width, order, scale, channels",
            ),
        ),
        ("god", {"clips_per_group": 1}, ("options.clips_per_group", "greater than or equal to 3")),
        ("god", {"form": "npz"}, ("options.form: unknown key",)),
        ("nifti", {}, ("unknown study reader", "bids")),
    ],
)
def test_wrong_options_are_named_with_what_was_probably_meant(reader, options, words):
    for action in (reader_options, open_study):
        complains(lambda act=action: act(source(reader, **options)), *words, error=ConfigError)


def test_an_extension_enters_a_reader_of_its_own():
    class TenClips(Study):
        def subjects(self):
            return ("sub-01",)

        clips = runs = voxels = load = files = subjects

    READERS.register("ten_clips")(TenClips)
    assert "ten_clips" in READERS
    assert open_study(source("ten_clips")).subjects() == ("sub-01",)
    complains(lambda: open_study(source("ten_clips", a=1)), "options.a", error=ConfigError)
    for taken in ("ten_clips", "bids"):
        with pytest.raises(ValueError, match="twice"):
            READERS.register(taken)(StudyForms)


def test_code_of_readers_concerns_only_the_studies_that_use_them():
    ours = [name for name in READERS if READERS.module(name).startswith("brainflix.")]
    readers = {READERS.module(name) for name in ours}
    for stage in ("targets.decode", "preprocessing.clean", "generation.stage", "evaluation.stage"):
        assert not readers & set(imported_modules(f"brainflix.{stage}"))
    later = imported_modules("brainflix.generation.stage")
    assert not [module for module in later if module.startswith("brainflix.studies")]
    for name in ours:
        others = readers - {READERS.module(name), "brainflix.studies.bids.study"}
        assert not others & set(imported_modules(READERS.module(name)))
