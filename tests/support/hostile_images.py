"""Damaged and hostile images: NIfTI, CIFTI, masks, and the movies and pictures that were shown."""

import gzip
import os
import struct
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np

from support.hostile_inputs import BOLD, CIFTI, MASK, SIDECAR, TEST_BOLD, decode, each
from support.studies_on_disk import write_video

HEADER = {"dim": 40, "datatype": 70, "bitpix": 72, "pixdim": 76, "vox_offset": 108, "magic": 344}
SFORM = 280  # srow_x


def cut(name: str, keep: float | int):
    """Return damage that keeps the beginning of a file: a fraction, or bytes (negative: drops)."""

    def damage(root: Path) -> None:
        data = (root / name).read_bytes()
        end = int(keep * len(data)) if isinstance(keep, float) else keep
        (root / name).write_bytes(data[:end])

    return damage


def put(name: str, content: bytes):
    def damage(root: Path) -> None:
        (root / name).write_bytes(content)

    return damage


def append(name: str, content: bytes):
    def damage(root: Path) -> None:
        with open(root / name, "ab") as stream:
            stream.write(content)

    return damage


def flip(name: str, place: float | int, mask: int = 0x10):
    def damage(root: Path) -> None:
        data = bytearray((root / name).read_bytes())
        data[int(place * len(data)) if isinstance(place, float) else place] ^= mask
        (root / name).write_bytes(data)

    return damage


def plain(root: Path, name: str = BOLD) -> Path:
    """Replace a compressed image by an uncompressed one."""
    path = root / name.removesuffix(".gz")
    path.write_bytes(gzip.decompress((root / name).read_bytes()))
    (root / name).unlink()
    return path


def header(offset: int, kind: str, *values: float, compressed: bool = False):
    """Return damage to an image's header, in an uncompressed file unless told otherwise."""

    def damage(root: Path) -> None:
        path = root / BOLD if compressed else plain(root)
        data = bytearray(gzip.decompress(path.read_bytes()) if compressed else path.read_bytes())
        struct.pack_into(f"<{len(values)}{kind}", data, offset, *values)
        path.write_bytes(gzip.compress(bytes(data)) if compressed else data)

    return damage


def rewritten(change, name: str = BOLD):
    """Return damage that rewrites an image from its values, affine and header."""

    def damage(root: Path) -> None:
        image = nib.load(root / name)
        values, affine, head = np.asanyarray(image.dataobj), image.affine, image.header.copy()
        nib.save(change(values, affine, head), root / name)

    return damage


def as_type(dtype: str):
    def change(values, affine, head):
        head.set_data_dtype(dtype)
        return nib.Nifti1Image(values.astype(dtype), affine, head)

    return rewritten(change)


def scaled_integers(root: Path) -> None:
    image = nib.load(root / BOLD)
    values = np.nan_to_num(np.asanyarray(image.dataobj), nan=700.0)
    slope, inter = 0.05, 900.0
    stored = nib.Nifti1Image(np.rint((values - inter) / slope).astype(np.int16), image.affine)
    stored.header.set_zooms(image.header.get_zooms())
    stored.header.set_slope_inter(slope, inter)
    path = root / BOLD
    with gzip.open(path, "wb") as stream:
        stored.header["scl_slope"], stored.header["scl_inter"] = slope, inter
        stored.header["vox_offset"] = 352
        stream.write(stored.header.binaryblock + bytes(4))
        stream.write(np.asanyarray(stored.dataobj).tobytes(order="F"))


def big_endian(root: Path) -> None:
    image = nib.load(root / BOLD)
    swapped = nib.Nifti1Image(
        np.asanyarray(image.dataobj).astype(">f4"), image.affine, image.header.as_byteswapped(">")
    )
    nib.save(swapped, root / BOLD)
    assert nib.load(root / BOLD).header.endianness == ">"


def two_members(root: Path) -> None:
    data = gzip.decompress((root / BOLD).read_bytes())
    (root / BOLD).write_bytes(gzip.compress(data[:1000]) + gzip.compress(data[1000:]))


def milliseconds(unit: str):
    def damage(root: Path) -> None:
        image = nib.load(root / BOLD)
        image.header.set_zooms((2.0, 2.0, 2.0, 2000.0))
        image.header.set_xyzt_units("mm", unit)
        nib.save(
            nib.Nifti1Image(image.get_fdata(dtype=np.float32), None, image.header), root / BOLD
        )
        (root / SIDECAR).unlink()

    return damage


def no_repetition_time(root: Path) -> None:
    header(HEADER["pixdim"] + 16, "f", 0.0, compressed=True)(root)
    (root / SIDECAR).unlink()


def filled(value: float, name: str = BOLD):
    return rewritten(lambda v, a, h: nib.Nifti1Image(np.full_like(v, value), a, h), name)


def moved(name: str):
    """Return damage that shifts an image by a voxel."""

    def change(values, affine, head):
        there = affine.copy()
        there[0, 3] += 2.0
        return nib.Nifti1Image(values, there, head)

    return rewritten(change, name)


def run_moved(root: Path) -> None:
    moved(BOLD)(root)
    moved(MASK)(root)


def other_shape(root: Path) -> None:
    nib.save(nib.Nifti1Image(np.ones((3, 4, 5), np.uint8), np.eye(4)), root / MASK)


def bomb(root: Path) -> None:
    """Write a file that claims 1.5 GiB, 700 times its size: as much as DEFLATE could expand to."""
    claimed = nib.Nifti1Header()
    claimed.set_data_shape((1024, 768, 512, 4))
    claimed.set_data_dtype(np.uint8)
    claimed["vox_offset"], claimed["sform_code"] = 352, 1
    claimed.set_sform(np.eye(4), 1)
    with gzip.GzipFile(root / BOLD, "wb", compresslevel=0, mtime=0) as stream:
        stream.write(claimed.binaryblock + bytes(2_300_000))


TRUNCATED = ("truncated or damaged", "run-02", "what to do")
DAMAGED = ("damaged", "run-02", "what to do")
ELSEWHERE = ("different places", "run-02")
ends = {
    f"nifti_gz_cut_{label}": (cut(BOLD, keep), TRUNCATED)
    for label, keep in (
        ("to_nothing", 0), ("in_gzip_header", 5), ("in_header", 60), ("at_a_third", 0.33),
        ("at_half", 0.5), ("before_crc", -8), ("in_crc", -5), ("by_a_byte", -1),
    )
}  # fmt: skip
ends |= {
    f"nifti_cut_{label}": (
        lambda root, k=keep: cut(plain(root).relative_to(root), k)(root),
        DAMAGED,
    )
    for label, keep in (
        ("in_header", 200),
        ("behind_header", 352),
        ("at_half", 0.5),
        ("by_a_byte", -1),
    )
}
each(ends)

each(
    {
        "nifti_gz_flipped_early": (flip(BOLD, 0.1), DAMAGED),
        "nifti_gz_flipped_late": (flip(BOLD, 0.9), DAMAGED),
        "nifti_gz_wrong_crc": (flip(BOLD, -6), DAMAGED),
        "nifti_gz_wrong_length": (flip(BOLD, -2), DAMAGED),
        "nifti_gz_trailing_garbage": (append(BOLD, b"not a member of this file"), DAMAGED),
        "nifti_gz_is_text": (put(BOLD, b"<html>404 Not Found</html>" * 40), DAMAGED),
        "nifti_gz_is_not_compressed": (
            lambda root: os.replace(plain(root), root / BOLD), DAMAGED,
        ),
        "nifti_surplus_bytes": (
            lambda root: append(plain(root).relative_to(root), b"\0" * 8)(root), DAMAGED,
        ),
        "nifti_three_axes": (
            rewritten(lambda v, a, h: nib.Nifti1Image(v[..., 0], a)), ("time series", "4 axes"),
        ),
        "nifti_five_axes": (
            rewritten(lambda v, a, h: nib.Nifti1Image(v[..., None, :], a)),
            ("time series", "4 axes"),
        ),
        "nifti_absurd_sizes": (
            header(HEADER["dim"], "h", 4, 32767, 32767, 32767, 32767), ("truncated", "run-02"),
        ),
        "nifti_gz_absurd_sizes": (
            header(HEADER["dim"], "h", 4, 32767, 32767, 32767, 32767, compressed=True),
            ("far more values than its file can hold", "times as many"),
        ),
        "nifti_gz_bomb": (bomb, ("far more values than its file can hold", "times as many")),
        "nifti_negative_size": (header(HEADER["dim"] + 4, "h", -5), DAMAGED),
        "nifti_empty_axis": (header(HEADER["dim"] + 4, "h", 0), DAMAGED),
        "nifti_smaller_size": (header(HEADER["dim"] + 8, "h", 3), DAMAGED),
        "nifti_nine_axes": (header(HEADER["dim"], "h", 9), DAMAGED),
        "nifti_unknown_type": (header(HEADER["datatype"], "h", 999), DAMAGED),
        "nifti_type_and_bits_differ": (header(HEADER["bitpix"], "h", 64), DAMAGED),
        "nifti_colours": (
            rewritten(
                lambda v, a, h: nib.Nifti1Image(
                    np.zeros(v.shape, [("R", "u1"), ("G", "u1"), ("B", "u1")]), a
                )
            ),
            ("not plain numbers",),
        ),
        "nifti_complex": (
            rewritten(lambda v, a, h: nib.Nifti1Image(v.astype(np.complex64), a)),
            ("not plain numbers",),
        ),
        "nifti_wrong_header_size": (header(0, "i", 349), DAMAGED),
        "nifti_no_magic": (header(HEADER["magic"], "i", 0), DAMAGED),
        "nifti_values_behind_the_end": (header(HEADER["vox_offset"], "f", 1e9), DAMAGED),
        "nifti_values_nowhere": (header(HEADER["vox_offset"], "f", float("nan")), DAMAGED),
        "nifti_affine_nan": (header(SFORM, "f", *[float("nan")] * 12), ("where its voxels lie",)),
        "nifti_affine_flat": (header(SFORM, "f", *[0.0] * 12), ("where its voxels lie",)),
        "nifti_run_elsewhere": (run_moved, ("lie at different places", "run-02")),
        "nifti_no_repetition_time": (no_repetition_time, ("repetition time", "sidecar")),
        "nifti_run_of_nan": (filled(np.nan), ("no voxel is finite", "run-02")),
        "nifti_run_constant": (filled(3.0), ("no voxel is finite", "run-02")),
        "nifti_test_run_of_nan": (filled(np.nan, TEST_BOLD), ("no voxel", "task-test_run-01")),
        "nifti_short_run": (
            rewritten(lambda v, a, h: nib.Nifti1Image(v[..., :4], a, h)),
            ("shorter than its stimuli", "run-02"),
        ),
        "nifti_missing_run": (lambda root: (root / BOLD).unlink(), ("a run is missing", "run-02")),
        "mask_other_shape": (other_shape, ("another shape", MASK)),
        "mask_elsewhere": (moved(MASK), ("lies elsewhere", MASK)),
        "mask_empty": (filled(0, MASK), ("no voxel lies in the masks",)),
        "mask_cut": (cut(MASK, 0.5), ("truncated or damaged", MASK)),
        "mask_wrong_crc": (flip(MASK, -6), ("damaged", MASK)),
        "mask_missing": (lambda root: (root / MASK).unlink(), ("no brain mask", "run-02")),
    }
)  # fmt: skip

# odd but valid: these must read right
each(
    {
        "nifti_uncompressed": (lambda root: plain(root), ()),
        "nifti_gz_two_members": (two_members, ()),
        "nifti_gz_trailing_zeros": (append(BOLD, bytes(512)), ()),
        "nifti_big_endian": (big_endian, ()),
        "nifti_float64": (as_type("<f8"), ()),
        "nifti_milliseconds": (milliseconds("msec"), ()),
        "nifti_milliseconds_called_seconds": (milliseconds("sec"), ()),
    }
)
each({"nifti_scaled_integers": (scaled_integers, ())}, tolerance=0.02)


# CIFTI


def cifti_xml(old: bytes, new: bytes):
    """Return damage to the XML of a CIFTI file that keeps its length."""

    def damage(root: Path) -> None:
        data = (root / CIFTI).read_bytes()
        assert data.count(old) >= 1
        (root / CIFTI).write_bytes(data.replace(old, new.ljust(len(old)), 1))

    return damage


def cifti_version_1(root: Path) -> None:
    """Write what a CIFTI-1 file starts with: a NIfTI-2 header and XML of version 1."""
    cifti_xml(b'<CIFTI Version="2.0"', b'<CIFTI Version="1.0"')(root)


def cifti_labels(root: Path) -> None:
    image = nib.load(root / CIFTI)
    models = image.header.get_axis(1)
    axis = nib.cifti2.LabelAxis(["areas"], {0: ("none", (0, 0, 0, 0)), 1: ("V1", (1, 0, 0, 1))})
    labels = nib.Cifti2Image(np.ones((1, len(models)), np.float32), (axis, models))
    labels.to_filename(root / "labels.dlabel.nii")
    os.replace(root / "labels.dlabel.nii", root / CIFTI)


def cifti_is_nifti(root: Path) -> None:
    nib.save(nib.Nifti2Image(np.ones((3, 3, 3, 4), np.float32), np.eye(4)), root / "x.nii")
    os.replace(root / "x.nii", root / CIFTI)


each(
    {
        "cifti_version_1": (cifti_version_1, ("CIFTI-1", "wb_command -file-convert")),
        "cifti_cut_in_header": (cut(CIFTI, 300), DAMAGED),
        "cifti_cut_in_xml": (cut(CIFTI, 900), DAMAGED),
        "cifti_cut_at_half": (cut(CIFTI, 0.6), DAMAGED),
        "cifti_cut_by_a_byte": (cut(CIFTI, -1), DAMAGED),
        "cifti_surplus_bytes": (append(CIFTI, b"\0" * 4), DAMAGED),
        "cifti_broken_xml": (cifti_xml(b"<Matrix>", b"<Matrix"), DAMAGED),
        "cifti_unknown_structure": (cifti_xml(b"CORTEX_LEFT", b"CORTEX_LOFT"), DAMAGED),
        "cifti_fewer_points": (
            cifti_xml(b'NumberOfSeriesPoints="11"', b'NumberOfSeriesPoints="12"'), DAMAGED,
        ),
        "cifti_vertex_twice": (cifti_xml(b"0 1 2 3 4 5", b"0 1 2 2 4 5"), ELSEWHERE),
        "cifti_vertex_behind_the_end": (cifti_xml(b"22 23", b"2 923"), ELSEWHERE),
        "cifti_labels_as_series": (cifti_labels, ("run-02",)),
        "cifti_is_nifti": (cifti_is_nifti, ("run-02",)),
    },
    kind="cifti",
)  # fmt: skip


# what was shown


def png(width: int, height: int) -> bytes:
    """Return a PNG that claims a size and holds a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(100))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


SEGMENT = "stimuli/seg02.mp4"


def shown(change):
    """Return damage to a segment's movie; the other movies are whole."""

    def damage(root: Path) -> None:
        for number, name in enumerate(("seg01", "seg02", "seg03", "test")):
            write_video(root / f"stimuli/{name}.mp4", 8.0, seed=number)
        change(root)

    return damage


def picture(content: bytes):
    def damage(root: Path) -> None:
        (root / "stimuli.tsv").write_text("stim_file\tsplit\np.png\ttrain\n")
        (root / "stimuli/p.png").write_bytes(content)

    return damage


def playlist(root: Path) -> None:
    secret = root / "stimuli/seg01.mp4"
    (root / SEGMENT).write_text(f"ffconcat version 1.0\nfile '{secret.name}'\n")


each(
    {
        "movie_empty": (shown(put(SEGMENT, b"")), ("video", SEGMENT)),
        "movie_cut_at_half": (shown(cut(SEGMENT, 0.5)), ("video", SEGMENT)),
        "movie_is_text": (shown(put(SEGMENT, b"404 Not Found")), ("video", SEGMENT)),
        "movie_is_a_playlist": (shown(playlist), ("video", SEGMENT)),
        "movie_too_short": (
            shown(lambda root: write_video(root / SEGMENT, 3.0)), ("no frame at a time", SEGMENT),
        ),
        "movie_missing": (
            shown(lambda root: (root / SEGMENT).unlink()),
            ("stimulus file does not exist", SEGMENT),
        ),
        "picture_absurd_size": (picture(png(60_000, 60_000)), ("picture cannot be read", "p.png")),
        "picture_cut": (picture(png(64, 64)[:60]), ("picture cannot be read", "p.png")),
    },
    run=decode,
)  # fmt: skip
each({"movies_whole": (shown(lambda root: None), ())}, run=decode)
