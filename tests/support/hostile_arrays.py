"""Damaged and hostile array files, pickles, archives and artifacts."""

import io
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path

import h5py
import numpy as np

from support.command_line import STUDY, StageCall, layout_in, stage_call
from support.hostile_inputs import MARKER, SUBJECT, base, clean, other

TRAIN = np.random.default_rng(0).normal(size=(12, 20)).astype(np.float32)


def arrays(folder: Path, responses: str) -> StageCall:
    """Write pictures next to a file of responses and return the call that reads both."""
    root = folder / "study"
    root.mkdir(exist_ok=True)
    np.save(root / "pictures.npy", np.zeros((12, 8, 8), np.uint8))
    options = {
        "subjects": {SUBJECT: {"train": {"responses": responses}}},
        "stimuli": {"train": "pictures.npy"},
    }
    return clean(root, reader="arrays", options=options)


def written(folder: Path, name: str, content: bytes, key: str = "") -> StageCall:
    """Write a file of responses and return the call that reads it."""
    (folder / "study").mkdir()
    (folder / "study" / name).write_bytes(content)
    return arrays(folder, f"{name}:{key}" if key else name)


def npy(values=TRAIN, **options) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values, **options)
    return stream.getvalue()


def archive(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as file:
        for name, content in members.items():
            file.writestr(zipfile.ZipInfo(name), content, method)
    return stream.getvalue()


class Run:
    """An object whose pickle calls a function with one text."""

    def __init__(self, function, text: str) -> None:
        self.function, self.text = function, text

    def __reduce__(self):
        return self.function, (self.text,)


def command(folder: Path) -> str:
    return f"touch {folder / MARKER}"


def payload(folder: Path, kind: str) -> object:
    """Return an object that creates the marker when its pickle is run."""
    if kind == "system":
        return Run(os.system, command(folder))
    if kind == "eval":
        return Run(eval, f"open({str(folder / MARKER)!r}, 'w').close()")
    return {"betas": [TRAIN, ({"deep": Run(os.system, command(folder))},)], "names": ["a"]}


# numpy


@other("truncated", "r.npy")
def npy_cut_at_half(folder):
    return written(folder, "r.npy", npy()[: len(npy()) // 2])


@other("r.npy")
def npy_cut_in_header(folder):
    return written(folder, "r.npy", npy()[:40])


@other("r.npy")
def npy_absurd_size(folder):
    return written(folder, "r.npy", npy().replace(b"(12, 20)", b"(9999999999, 9999999999)"))


@other("r.npy")
def npy_header_is_code(folder):
    code = b"__import__('os').system('touch x')"
    return written(folder, "r.npy", npy().replace(b"(12, 20), }", b"(12, 20), " + code + b"}"))


@other("not data", "it was not run")
def npy_of_objects_that_run_code(folder):
    values = np.empty(1, dtype=object)
    values[0] = payload(folder, "system")
    return written(folder, "r.npy", npy(values, allow_pickle=True))


@other("holds no numbers", "r.npy")
def npy_of_texts(folder):
    return written(folder, "r.npy", npy(np.array(["a", "b"])))


@other("leads out of it", "../../r.npy")
def npz_member_climbs_out(folder):
    content = archive({"../../r.npy": npy(), "a.npy": npy()})
    return written(folder, "r.npz", content, "a")


@other("swell beyond measure", "r.npz")
def npz_bomb(folder):
    head = np.lib.format.magic(1, 0)
    text = b"{'descr': '|u1', 'fortran_order': False, 'shape': (100000000,), }"
    text = text.ljust(117) + b"\n"
    content = head + struct.pack("<H", len(text)) + text + bytes(100_000_000)
    return written(folder, "r.npz", archive({"a.npy": content}), "a")


@other("damaged", "r.npz")
def npz_stored_wrong_crc(folder):
    content = bytearray(archive({"a.npy": npy()}, zipfile.ZIP_STORED))
    content[300] ^= 1
    return written(folder, "r.npz", bytes(content), "a")


@other("damaged", "r.npz")
def npz_compressed_wrong_crc(folder):
    content = bytearray(archive({"a.npy": npy()}))
    content[400] ^= 1
    return written(folder, "r.npz", bytes(content), "a")


@other("r.npz")
def npz_cut(folder):
    return written(folder, "r.npz", archive({"a.npy": npy()})[:-30], "a")


@other("lacks an array", "betas")
def npz_without_the_array(folder):
    return written(folder, "r.npz", archive({"a.npy": npy()}), "betas")


@other("holds Python objects", "allow_pickle=False")
def npz_of_objects_that_run_code(folder):
    values = np.empty(1, dtype=object)
    values[0] = payload(folder, "system")
    return written(folder, "r.npz", archive({"a.npy": npy(values, allow_pickle=True)}), "a")


# pickles


@other("not data", "posix.system")
def pickle_runs_a_command(folder):
    return written(folder, "r.pkl", pickle.dumps(payload(folder, "system")))


@other("not data", "builtins.eval")
def pickle_evaluates_code(folder):
    return written(folder, "r.pkl", pickle.dumps(payload(folder, "eval")))


@other("not data", "posix.system")
def pickle_runs_a_command_deep_inside(folder):
    return written(folder, "r.pkl", pickle.dumps(payload(folder, "deep")), "betas")


@other("not data", "posix.system")
def pickle_of_protocol_0_runs_a_command(folder):
    return written(folder, "r.pkl", pickle.dumps(payload(folder, "system"), protocol=0))


@other("r.pkl")
def pickle_cut(folder):
    content = pickle.dumps(TRAIN)
    return written(folder, "r.pkl", content[: len(content) // 2])


@other("longer than the file")
def pickle_absurd_size(folder):
    content = b"\x80\x04\x8e" + struct.pack("<Q", 2**50) + b"abc."
    return written(folder, "r.pkl", content)


# torch


def torch_archive(data: bytes, **members: bytes) -> bytes:
    named = {f"archive/{name.replace('__', '/')}": text for name, text in members.items()}
    content = {"archive/data.pkl": data, "archive/version": b"3\n", **named}
    return archive(content, zipfile.ZIP_STORED)


@other("not data", "posix.system")
def torch_file_runs_a_command(folder):
    content = torch_archive(pickle.dumps(payload(folder, "system"), protocol=2))
    return written(folder, "r.pt", content)


@other("leads out of it")
def torch_member_climbs_out(folder):
    content = archive({"../x/data.pkl": pickle.dumps([1], protocol=2)}, zipfile.ZIP_STORED)
    return written(folder, "r.pt", content)


@other("swell beyond measure")
def torch_bomb(folder):
    content = archive({"archive/data.pkl": b"]" + bytes(80_000_000)})
    return written(folder, "r.pt", content)


@other("r.pt")
def torch_file_cut(folder):
    return written(folder, "r.pt", torch_archive(pickle.dumps([1], protocol=2))[:-40])


@other("r.safetensors")
def safetensors_absurd_header(folder):
    return written(folder, "r.safetensors", struct.pack("<Q", 2**60) + b"{}")


@other("r.safetensors")
def safetensors_values_behind_the_end(folder):
    head = json.dumps({"a": {"dtype": "F32", "shape": [9, 9], "data_offsets": [0, 324]}}).encode()
    return written(folder, "r.safetensors", struct.pack("<Q", len(head)) + head + bytes(16))


# HDF5


def hdf5(folder: Path, fill) -> StageCall:
    (folder / "study").mkdir()
    with h5py.File(folder / "study/r.h5", "w") as file:
        fill(file)
    return arrays(folder, "r.h5:a")


@other("r.h5")
def hdf5_cut(folder):
    arguments = hdf5(folder, lambda file: file.create_dataset("a", data=TRAIN))
    path = folder / "study/r.h5"
    path.write_bytes(path.read_bytes()[:-200])
    return arguments


@other("r.h5", "link")
def hdf5_link_to_another_file(folder):
    with h5py.File(folder / "secret.h5", "w") as file:
        file["a"] = TRAIN
    return hdf5(folder, lambda file: file.__setitem__("a", h5py.ExternalLink("../secret.h5", "a")))


@other("r.h5")
def hdf5_values_in_another_file(folder):
    (folder / "secret.bin").write_bytes(TRAIN.tobytes())
    outside = [(str(folder / "secret.bin"), 0, TRAIN.nbytes)]
    return hdf5(
        folder, lambda file: file.create_dataset("a", (12, 20), np.float32, external=outside)
    )


@other("r.h5")
def hdf5_absurd_size(folder):
    return hdf5(
        folder, lambda file: file.create_dataset("a", (10**7, 10**7), "f4", chunks=(1, 10**4))
    )


# artifacts


def cleaned_artifact(folder: Path) -> Path:
    """Write a whole artifact of cleaned runs."""
    from brainflix.config.studies import CleaningConfig, StudySource
    from brainflix.preprocessing.clean import clean as clean_stage

    path = layout_in(folder).cleaned(STUDY, SUBJECT)
    clean_stage(StudySource(root=str(base("nifti"))), SUBJECT, CleaningConfig(), path)
    return path


def damaged_artifact(name: str, words: tuple[str, ...], damage) -> None:
    """Enter a case in which selection is given a damaged artifact."""

    def make(folder: Path) -> StageCall:
        damage(cleaned_artifact(folder))
        return stage_call("select", folder, {"root": str(base("nifti"))})

    make.__name__ = name
    other(*words)(make)


def sealed(change):
    """Return damage that changes an artifact as HDF5 and gives it a right checksum."""
    from support.edited_artifacts import edited

    def damage(path: Path) -> None:
        with edited(path) as file:
            change(file)

    return damage


def cut(keep: float):
    return lambda path: path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])


def flip(place: float):
    def damage(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[int(place * (len(content) - 1))] ^= 4
        path.write_bytes(content)

    return damage


AGAIN = "run the workflow again"
for _name, _words, _damage in (
    ("artifact_missing", ("no cleaned artifact",), lambda path: path.unlink()),
    ("artifact_empty", ("cannot be opened", AGAIN), lambda path: path.write_bytes(b"")),
    ("artifact_is_text", ("cannot be opened", AGAIN), lambda path: path.write_text("no" * 999)),
    ("artifact_cut_at_half", ("damaged", AGAIN), cut(0.5)),
    ("artifact_cut_by_a_byte", ("damaged", AGAIN), cut(0.9999)),
    ("artifact_flipped_in_values", ("damaged", AGAIN), flip(0.5)),
    ("artifact_flipped_in_header", ("damaged", AGAIN), flip(0.02)),
    ("artifact_flipped_at_the_end", ("damaged", AGAIN), flip(1.0)),
    (
        "artifact_of_another_kind",
        ("another kind of artifact", "voxels"),
        sealed(lambda file: file.attrs.__setitem__("kind", "voxels")),
    ),
    (
        "artifact_of_another_schema",
        ("schema version", AGAIN),
        sealed(lambda file: file.attrs.__setitem__("schema_version", 99)),
    ),
    (
        "artifact_not_complete",
        ("not complete", AGAIN),
        sealed(lambda file: file.attrs.__delitem__("complete")),
    ),
):
    damaged_artifact(_name, _words, _damage)
