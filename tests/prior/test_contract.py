from __future__ import annotations

import json

import numpy as np
import pytest
from support.toy_priors import FORM, SHAPE, encode, noisy, pairs, training_clips

from brainflix.errors import ArtifactError, ConfigError, DataError
from brainflix.prior.catalogue import PRIORS, fit_studies, load_prior, make_prior
from brainflix.prior.data import Pairs, TargetForm, TrainingClips

SHORT = {"steps": 3, "batch_size": 8}
KINDS = [
    ("none", {}),
    ("length", {}),
    ("empirical_bayes", {"atoms": "clips"}),
    ("empirical_bayes", {"atoms": "pseudo_clips", "estimate": "map"}),
    ("captions", {}),
    ("captions", {"estimate": "mean"}),
    ("denoiser", {"training": SHORT, "width": 8}),
    ("diffusion", {"training": SHORT, "layers": 1, "sampling_steps": 3}),
    ("diffusion", {"training": SHORT, "layers": 1, "conditions": "pairs", "draws": 2}),
]
NAMES = [f"{kind}-{'-'.join(map(str, options))}" for kind, options in KINDS]


@pytest.fixture(scope="module")
def clips():
    return training_clips()


@pytest.fixture(scope="module", params=KINDS, ids=NAMES)
def prior(request, clips):
    kind, options = request.param
    return make_prior(kind, options).fit(pairs(clips), clips)


@pytest.fixture(scope="module")
def predictions(clips):
    return noisy(clips.values[:6], np.random.default_rng(5), 0.2)


def test_every_kind_is_tested():
    assert {kind for kind, _ in KINDS} == set(PRIORS)


def test_a_clip_does_not_depend_on_the_others_of_its_batch(prior, predictions):
    seeds = list(range(6))
    together = prior.apply(predictions, 2, seeds)
    assert together.shape == predictions.shape
    assert together.dtype == np.float32
    assert np.isfinite(together).all()
    for row in (0, 3, 5):
        alone = prior.apply(predictions[row : row + 1], 2, [seeds[row]])
        np.testing.assert_array_equal(alone[0], together[row])
    backwards = prior.apply(predictions[::-1], 2, seeds[::-1])
    np.testing.assert_array_equal(backwards[::-1], together)


def test_a_saved_prior_gives_the_same_results_and_the_same_bytes(prior, predictions, tmp_path):
    prior.save(tmp_path / "one")
    loaded = load_prior(tmp_path / "one", FORM, encode)
    loaded.save(tmp_path / "two")
    for name in ("prior.json", "prior.safetensors"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    np.testing.assert_array_equal(loaded.apply(predictions, 4), prior.apply(predictions, 4))
    assert loaded.options == prior.options
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == [
        "prior.json",
        "prior.safetensors",
    ]


def test_a_second_fit_gives_the_same_prior(prior, clips, predictions):
    again = make_prior(prior.kind, prior.options.model_dump()).fit(pairs(clips), clips)
    np.testing.assert_array_equal(again.apply(predictions), prior.apply(predictions))


def test_another_target_is_refused(prior, tmp_path):
    prior.save(tmp_path)
    other = TargetForm("image", "clip_image", "toy", SHAPE)
    with pytest.raises(ArtifactError, match="fitted on another target") as error:
        load_prior(tmp_path, other, encode)
    assert error.value.expected == other
    assert error.value.found == FORM


def test_another_shape_is_refused(prior):
    with pytest.raises(DataError, match="do not have the shape") as error:
        prior.apply(np.zeros((2, 5), np.float32))
    assert error.value.expected == SHAPE
    assert error.value.found == (5,)


def test_predictions_that_are_not_finite_are_refused(prior, predictions):
    spoilt = predictions.copy()
    spoilt[1, 0, 0] = np.nan
    with pytest.raises(DataError, match="cannot be restored"):
        prior.apply(spoilt)
    with pytest.raises(DataError, match="cannot be restored"):
        prior.apply(predictions, repeats=0)


def test_no_clip_is_no_error(prior):
    assert prior.apply(np.zeros((0, *SHAPE), np.float32)).shape == (0, *SHAPE)


@pytest.mark.parametrize("name", ["prior.json", "prior.safetensors"])
@pytest.mark.parametrize("damage", ["missing", "short", "changed"])
def test_a_damaged_folder_is_refused(name, damage, clips, tmp_path):
    make_prior("empirical_bayes", {"atoms": "clips"}).fit(pairs(clips), clips).save(tmp_path)
    path = tmp_path / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "short":
        path.write_bytes(content[:-40])
    elif name == "prior.json":
        path.write_bytes(content.replace(b'"version": 1', b'"version": 9'))
    else:
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ArtifactError) as error:
        load_prior(tmp_path, FORM, encode)
    assert error.value.remedy == "fit the prior again"


def test_an_unknown_kind_in_a_file_is_refused(clips, tmp_path):
    make_prior("none").fit(pairs(clips), clips).save(tmp_path)
    described = json.loads((tmp_path / "prior.json").read_text())
    (tmp_path / "prior.json").write_text(json.dumps(described | {"kind": "guess"}))
    with pytest.raises(ArtifactError, match="does not know"):
        load_prior(tmp_path, FORM)


def test_a_loaded_prior_needs_the_text_encoder_that_it_was_fitted_with(clips, tmp_path):
    make_prior("captions").fit(pairs(clips), clips).save(tmp_path)
    with pytest.raises(DataError, match="needs the text encoder"):
        load_prior(tmp_path, FORM)
    with pytest.raises(ArtifactError, match="not the one that the prior was fitted with"):
        load_prior(tmp_path, FORM, lambda texts: encode(texts)[:, ::-1])


def test_unknown_options_are_refused():
    with pytest.raises(ConfigError, match="not valid") as error:
        make_prior("captions", {"strength": 3})
    assert "strength: unknown key" in str(error.value)
    with pytest.raises(ConfigError, match="unknown prior 'wish'"):
        make_prior("wish")


def test_a_prior_must_be_fitted_first(predictions, tmp_path):
    for use in (lambda prior: prior.apply(predictions), lambda prior: prior.save(tmp_path)):
        with pytest.raises(DataError, match="has not been fitted"):
            use(make_prior("none"))


def test_captions_are_needed_by_the_kinds_that_use_them(clips):
    bare = TrainingClips(FORM, clips.values)
    for kind in ("captions", "empirical_bayes", "denoiser"):
        with pytest.raises(DataError, match="needs captions") as error:
            make_prior(kind).fit(pairs(clips), bare)
        assert "no text encoder" in str(error.value)


def test_pairs_and_clips_of_other_shapes_are_refused(clips):
    found = pairs(clips)
    with pytest.raises(DataError, match="do not belong together"):
        Pairs(found.clip[1:], found.subject, found.repeats, found.predicted, found.true)
    with pytest.raises(DataError, match="not finite"):
        Pairs(found.clip, found.subject, found.repeats, found.predicted * np.nan, found.true)
    with pytest.raises(DataError, match="do not fit the target"):
        TrainingClips(FORM, clips.values[:, :1])
    with pytest.raises(DataError, match="captions are of other clips"):
        TrainingClips(FORM, clips.values, clips.captions[1:], encode)
    wide = Pairs(found.clip, found.subject, found.repeats, found.predicted[:, 0], found.true[:, 0])
    with pytest.raises(DataError, match="another shape than the target"):
        make_prior("none").fit(wide, clips)


@pytest.mark.parametrize("studies", ["separate", "together"])
def test_studies_are_fitted_separately_or_together(studies, clips, predictions):
    data = {"one": (pairs(clips, 0.05), clips), "two": (pairs(clips, 0.8, seed=1), clips)}
    options = {"studies": studies, "atoms": "clips", "temper": 1.0}
    found = fit_studies("empirical_bayes", options, data)
    assert list(found) == ["one", "two"]
    assert (found["one"] is found["two"]) is (studies == "together")
    alone = make_prior("empirical_bayes", options).fit(*data["one"])
    same = np.array_equal(found["one"].apply(predictions), alone.apply(predictions))
    assert same is (studies == "separate")


def test_length_stretches_to_that_of_training_clips(clips):
    prior = make_prior("length").fit(pairs(clips), clips)
    mean = clips.values.mean(axis=0)
    shrunk = mean + 0.3 * (clips.values - mean)
    scale = clips.values.std(axis=0)
    scale[scale < 1e-6] = 1
    lengths = np.linalg.norm(
        ((prior.apply(shrunk) - mean) / scale).reshape(len(shrunk), -1), axis=1
    )
    np.testing.assert_allclose(lengths, np.sqrt(mean.size), rtol=1e-4)
    np.testing.assert_allclose(prior.apply(mean[None]), mean[None], atol=1e-5)
