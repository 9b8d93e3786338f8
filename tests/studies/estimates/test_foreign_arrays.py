"""Arrays of strangers' files: what is read equals what was written, and nothing is ever run."""

import collections
import contextlib
import io
import os
import pickle
import struct
import zipfile

import h5py
import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brainflix.errors import StudyError
from brainflix.formats.arrays import open_rows, read_array
from brainflix.formats.pickle import read_object_npy, read_pickle

RNG = np.random.default_rng(0)
LARGE = RNG.standard_normal((300, 1000)).astype(np.float32)  # more than is read at once
CONTENT = {
    "matrix": np.arange(6.0).reshape(2, 3),
    "fortran": np.asfortranarray(LARGE[:3, :5]),
    "large": LARGE,
    "large_fortran": np.asfortranarray(LARGE),
    "big_endian": np.arange(3, dtype=">i4"),
    "texts": np.array(["aa", "b"]),
    "objects": np.array(["a cat", None, "b"], dtype=object),
    "empty": np.zeros((0, 3)),
    "boolean": np.array([True, False]),
    "scalars": (np.float32(3), np.str_("hey"), np.int64(4)),
    "plain": [1, 2.5, "x", None, True, b"bytes", 10**30, 1 + 2j],
    "ordered": collections.OrderedDict(a=1),
    "sets": [{1, 2}, frozenset([3])],
}
CONTENT["again"] = CONTENT["matrix"]


def assert_same(found, expected):
    if isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    elif isinstance(expected, dict):
        assert type(found) is type(expected)
        assert list(found) == list(expected)
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, list | tuple):
        assert type(found) is type(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        assert found == expected
        assert type(found) is type(expected)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_of_data_is_read_as_it_was_written(tmp_path, protocol):
    path = tmp_path / "data.pkl"
    path.write_bytes(pickle.dumps(CONTENT, protocol))
    assert_same(read_pickle(path), CONTENT)


def test_names_of_old_and_new_numpy_are_both_known(tmp_path):
    path = tmp_path / "data.pkl"
    data = pickle.dumps(CONTENT["matrix"], 2)
    other = (
        data.replace(b"numpy._core.", b"numpy.core.")
        if b"numpy._core." in data
        else data.replace(b"numpy.core.", b"numpy._core.")
    )
    assert other != data
    path.write_bytes(other)
    assert_same(read_pickle(path), CONTENT["matrix"])


def test_an_array_of_objects_in_an_npy_file(tmp_path):
    np.save(tmp_path / "betas.npy", {"betasmd": LARGE, "R2": None}, allow_pickle=True)
    assert_same(read_object_npy(tmp_path / "betas.npy"), {"betasmd": LARGE, "R2": None})
    found = read_array(tmp_path / "betas.npy", "betasmd")
    assert isinstance(found.base, np.memmap) or isinstance(found.base.base, np.memmap)


class Attack:
    """Writes a file when it is unpickled by Python."""

    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "call", [(os.system, "touch {}"), (eval, "open('{}', 'w')"), (exec, "open('{}', 'w')")]
)
def test_a_pickle_that_calls_anything_is_refused_by_name(tmp_path, protocol, call):
    touched = tmp_path / "touched"
    path = tmp_path / "attack.pkl"
    attack = Attack(call[0], call[1].format(touched))
    path.write_bytes(pickle.dumps({"data": [attack]}, protocol))
    with pytest.raises(StudyError, match="not data") as error:
        read_pickle(path)
    assert call[0].__name__ in str(error.value.found)
    assert str(path) in str(error.value)
    assert not touched.exists()


def crafted(*parts):
    return b"\x80\x04" + b"".join(parts) + b"."


NAMED = b"cnumpy.core.multiarray\n_reconstruct\n"
NDARRAY = b"cnumpy\nndarray\n"


@pytest.mark.parametrize(
    "data",
    [
        crafted(b"\x8e" + struct.pack("<Q", 1 << 50)),  # bytes of a petabyte
        crafted(b"X" + struct.pack("<I", 1 << 31)),
        crafted(NAMED, NDARRAY, b"(J\xff\xff\xff\x7ft", b"C\x01b", b"\x87R"),  # a huge array
        crafted(NDARRAY, b"(J\xff\xff\xff\x7ftR"),
        crafted(b"c__builtin__\nbytearray\n", b"J\xff\xff\xff\x7f\x85R"),
        crafted(b"cbuiltins\ngetattr\n", b"N\x85R"),
        crafted(b"cnumpy\nload\n", b"N\x85R"),
        crafted(NDARRAY, b"}\x8c\x01xK\x01sb"),  # a state for a type
        crafted(b"(ios\nsystem\n"),
        crafted(b"\x82\x01"),
        crafted(b"P1\n"),
        crafted(b"N", b"N"),
        b"\x80\x04]" + b"(]" * 5000 + b"e" * 5000,
        b"",
        b"\x80\x05\x95" + struct.pack("<Q", 1 << 60) + b"N.",
    ],
)
def test_crafted_pickles_are_refused_or_harmless(tmp_path, data):
    path = tmp_path / "crafted.pkl"
    path.write_bytes(data)
    if data.endswith(b"N.") and data.startswith(b"\x80\x05\x95"):
        assert read_pickle(path) is None  # the frame's size is never used
        return
    with pytest.raises(StudyError):
        read_pickle(path)


def test_a_type_cannot_be_told_another_layout(tmp_path):
    """Flags of a dtype decide whether bytes are taken for pointers; they are not the file's."""
    data = pickle.dumps(np.array(["x"], dtype=object), 2)
    raw = data.replace(b"]q\x07U\x01xq\x08a", b"U\x08" + b"A" * 8)
    path = tmp_path / "forged.pkl"
    path.write_bytes(raw)
    try:
        found = read_pickle(path)
    except StudyError:
        return
    assert_same(found, np.array(["x"], dtype=object))


SMALL = pickle.dumps({k: v for k, v in CONTENT.items() if not k.startswith("large")}, 4)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_any_damage_to_a_pickle_is_an_answer_or_a_typed_error(tmp_path, data):
    path = tmp_path / "damaged.pkl"
    content = bytearray(SMALL[: data.draw(st.integers(0, len(SMALL)))])
    for _ in range(data.draw(st.integers(0, 3))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with contextlib.suppress(StudyError):
        read_pickle(path)


# zip archives: npz


def npz_of(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_an_npz_is_mapped_when_it_is_stored(tmp_path):
    path = npz_of(tmp_path / "a.npz", arr_0=LARGE, f=np.asfortranarray(LARGE), b=CONTENT["boolean"])
    for name, expected in (("arr_0", LARGE), ("f", LARGE), ("b", CONTENT["boolean"])):
        np.testing.assert_array_equal(read_array(path, name), expected)
    np.savez_compressed(tmp_path / "c.npz", arr_0=LARGE)
    np.testing.assert_array_equal(read_array(tmp_path / "c.npz", "arr_0"), LARGE)


def test_a_flipped_bit_in_an_npz_is_found(tmp_path):
    path = npz_of(tmp_path / "a.npz", arr_0=LARGE)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(StudyError, match="checksum"):
        read_array(path, "arr_0")


def test_a_zip_bomb_is_refused(tmp_path):
    path = tmp_path / "bomb.npz"
    zeros = io.BytesIO()
    np.save(zeros, np.zeros(65 << 20, np.uint8))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("arr_0.npy", zeros.getvalue())
    with pytest.raises(StudyError, match="swell"):
        read_array(path, "arr_0")


@pytest.mark.parametrize("name", ["../evil.npy", "/evil.npy", "a/../../evil.npy", "C:\\evil.npy"])
def test_an_archive_that_leads_out_of_itself_is_refused(tmp_path, name):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, b"x")
    with pytest.raises(StudyError, match="leads out"):
        read_array(path, "evil")


# tensors


def test_tensors_are_read_without_torch(tmp_path):
    torch = pytest.importorskip("torch")
    from brainflix.formats.torch import open_tensor, open_tensors

    values = torch.randn(40, 2, 50, generator=torch.Generator().manual_seed(0))
    content = {
        "a": values,
        "transposed": values.transpose(0, 2)[3:],
        "half": values.half(),
        "int": torch.arange(5),
        "bool": torch.tensor([True, False]),
        "empty": torch.zeros(0, 3),
        "scalar": torch.tensor(3.5),
    }
    torch.save({**content, "bf": values.bfloat16(), "list": [values[1], "text"]}, tmp_path / "d.pt")
    found = open_tensors(tmp_path / "d.pt")
    for name, tensor in content.items():
        assert_same(np.asarray(found[name]), tensor.numpy())
    np.testing.assert_array_equal(found["bf"], values.bfloat16().float().numpy())
    assert_same(np.asarray(found["list"][0]), values[1].numpy())
    assert found["list"][1] == "text"
    torch.save(values, tmp_path / "one.pt")
    np.testing.assert_array_equal(open_tensor(tmp_path / "one.pt"), values.numpy())
    np.testing.assert_array_equal(read_array(tmp_path / "d.pt", "list/0"), values[1].numpy())


def test_old_foreign_and_lying_tensor_files_are_refused(tmp_path):
    torch = pytest.importorskip("torch")
    from brainflix.formats.torch import open_tensor

    old = tmp_path / "old.pt"
    torch.save(torch.zeros(3), old, _use_new_zipfile_serialization=False)
    with pytest.raises(StudyError, match=r"before 1\.6") as error:
        open_tensor(old)
    assert "weights_only=True" in str(error.value.remedy)
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pt")
    with pytest.raises(StudyError, match="not data"):
        open_tensor(tmp_path / "module.pt")
    torch.save(torch.zeros(1).expand(10**12), tmp_path / "expanded.pt")
    with pytest.raises(StudyError, match="larger than its storage"):
        open_tensor(tmp_path / "expanded.pt")


def test_any_truncation_or_flipped_bit_of_a_tensor_file_is_found(tmp_path):
    torch = pytest.importorskip("torch")
    from brainflix.formats.torch import open_tensor

    values = torch.randn(30, 7, generator=torch.Generator().manual_seed(0))
    torch.save(values, tmp_path / "a.pt")
    whole = (tmp_path / "a.pt").read_bytes()
    damaged = tmp_path / "damaged.pt"
    for length in range(0, len(whole), 97):
        damaged.write_bytes(whole[:length])
        with pytest.raises(StudyError):
            open_tensor(damaged)
    for place in np.random.default_rng(0).integers(0, len(whole), 120):
        content = bytearray(whole)
        content[place] ^= 1 << (place % 8)
        damaged.write_bytes(content)
        try:
            found = open_tensor(damaged)
        except StudyError:
            continue
        np.testing.assert_array_equal(found, values.numpy())  # the bit was one that nothing uses


# HDF5, MATLAB and safetensors


def test_rows_of_hdf5_in_any_order(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["group/values"] = LARGE
        file.create_dataset("chunked", data=LARGE, chunks=(16, 100), compression="gzip")
    for key in ("group/values", "chunked"):
        rows = open_rows(tmp_path / "a.h5", key)
        assert rows.shape == LARGE.shape
        for index in ([5, 3, 3, 299, 0], range(10, 60, 2), []):
            wanted = np.array(list(index), dtype=int)
            np.testing.assert_array_equal(rows.take(wanted), LARGE[wanted])


def test_hdf5_that_leads_elsewhere_or_lies_is_refused(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = np.arange(3.0)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["linked"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "secret")
        file.create_dataset("external", (10,), "f4", external=[(str(tmp_path / "other.h5"), 0, 40)])
        layout = h5py.VirtualLayout((3,), "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "secret", (3,))
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("vast", (1 << 40,), "f4", chunks=(1 << 20,))
    for key in ("linked", "external", "virtual"):
        with pytest.raises(StudyError, match="lies in another file"):
            read_array(tmp_path / "a.h5", key)
    with pytest.raises(StudyError, match="size that it does not have"):
        read_array(tmp_path / "a.h5", "vast")


def test_matlab_of_both_versions(tmp_path):
    values = LARGE[:7, :5].astype(np.float64)
    scipy.io.savemat(tmp_path / "five.mat", {"betas": values}, do_compression=True)
    with h5py.File(tmp_path / "seven.mat", "w", userblock_size=512) as file:
        file["betas"] = values.T
    with open(tmp_path / "seven.mat", "r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    for name in ("five.mat", "seven.mat"):
        np.testing.assert_array_equal(read_array(tmp_path / name, "betas"), values)
        taken = open_rows(tmp_path / name, "betas").take(np.array([6, 0]))
        np.testing.assert_array_equal(taken, values[[6, 0]])


def test_safetensors(tmp_path):
    numpy_io = pytest.importorskip("safetensors.numpy")
    numpy_io.save_file({"a": LARGE, "b": np.arange(5)}, tmp_path / "a.safetensors")
    np.testing.assert_array_equal(read_array(tmp_path / "a.safetensors", "a"), LARGE)
    whole = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "a.safetensors").write_bytes(whole[:-3])
    last = "a" if whole.index(b'"a"') > whole.index(b'"b"') else "b"
    with pytest.raises(StudyError):
        read_array(tmp_path / "a.safetensors", last)
