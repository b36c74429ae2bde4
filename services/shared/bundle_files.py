"""Reads single files of a model bundle, within limits; what is not as it should be is refused.

A bundle may have been damaged on its way, or be meant to do harm. So a file is read only if it
is no larger than its limit and has the sum that the manifest states, an array only if the bytes
are there that its header promises, and nothing that Python would execute. All functions raise
BundleRefused with a sentence that names the file.
"""

from __future__ import annotations

import hashlib
import math
import re
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, Final, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from services.shared.errors import BundleRefused

MIB: Final = 1 << 20

LIMITS: Final = {
    "manifest.json": MIB,
    "settings.json": MIB,
    "vocabulary.json": 512 * MIB,
    "popularity.npy": 128 * MIB,
    "golden.npz": 256 * MIB,
    "report.json": 16 * MIB,
    "card.md": 16 * MIB,
    "card.html": 64 * MIB,
    "encoder.onnx": 512 * MIB,
    "items.npy": 1024 * MIB,
    "codes.npy": 1024 * MIB,
    "codebooks.npy": 256 * MIB,
    "tower.onnx": 1024 * MIB,
    "content.json": 64 * MIB,
    "neighbours.npz": 1024 * MIB,
    "repeat.json": 64 * MIB,
}
"""How many bytes each file of a bundle may have; an .npz file also unpacked."""

UNREADABLE: Final = (
    ValueError,
    OSError,
    EOFError,
    KeyError,
    RuntimeError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What NumPy and zipfile raise for a file that is none of theirs, is encrypted or cut off."""

MAGIC: Final = b"\x93NUMPY\x01\x00"
HEADER: Final = re.compile(
    rb"\{'descr': '(?P<dtype>[<|][fiu][1248])', 'fortran_order': False, "
    rb"'shape': \((?P<shape>(?:\d{1,12}(?:, ?)?){0,8})\), \} *\n"
)
"""What ``np.save`` writes before numbers: floats and integers, row by row."""

T = TypeVar("T")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_size(path: Path) -> None:
    """Refuse a file that is missing or larger than its limit."""
    if not path.is_file():
        raise BundleRefused(f"{path} is missing, but the manifest names it")
    if path.stat().st_size > LIMITS[path.name]:
        raise BundleRefused(f"{path} is larger than {LIMITS[path.name]} bytes")


def check_sum(path: Path, expected: str) -> None:
    """Refuse a file whose content is not the manifest's, or that is missing or too large."""
    check_size(path)
    try:
        found = sha256_of(path)
    except OSError as error:
        raise BundleRefused(f"{path} cannot be read: {error.strerror}") from error
    if found != expected:
        raise BundleRefused(f"{path} has SHA-256 {found}, the manifest says {expected}")


def read_json(path: Path, kind: type[T]) -> T:
    """A JSON file of the given kind."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OSError) as error:
        raise BundleRefused(f"{path}: {error}") from error


def read_array(path: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> NDArray[Any]:
    """The array of an .npy file, read-only; refused if of another type or shape, or not finite."""
    array = read_numbers(path)
    check_array(path, array, dtype, shape)
    return array


def read_numbers(path: Path) -> NDArray[Any]:
    """The array of an .npy file, read-only, of any type and shape; whoever reads it checks it."""
    try:
        with path.open("rb") as file:
            return _array(file, path.stat().st_size)
    except UNREADABLE as error:
        raise BundleRefused(f"{path} is no NumPy file of numbers: {error}") from error


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file by name, read-only; whoever reads it checks each."""
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > LIMITS[path.name]:
                raise ValueError(f"unpacked it is larger than {LIMITS[path.name]} bytes")
            for member in members:
                with archive.open(member) as file:
                    array = _array(file, member.file_size)
                found[member.filename.removesuffix(".npy")] = array
    except (*UNREADABLE, NotImplementedError) as error:
        raise BundleRefused(f"{path} is no NumPy archive of numbers: {error}") from error
    return found


def check_array(
    path: Path, array: NDArray[Any], dtype: type[np.generic], shape: tuple[int, ...], name: str = ""
) -> None:
    """Refuse an array (``name`` of an archive) of another type or shape, or with NaN or inf."""
    where = f"{path}: {name}" if name else f"{path}"
    if array.dtype != dtype or array.shape != shape:
        raise BundleRefused(
            f"{where} is {array.dtype} {array.shape}, expected {np.dtype(dtype)} {shape}"
        )
    if not np.isfinite(array).all():
        place = np.argwhere(~np.isfinite(array))[0].tolist()
        raise BundleRefused(f"{where} has NaN or infinity at {place}: no model gives such numbers")


def _array(file: IO[bytes], size: int) -> NDArray[Any]:
    """An array in NumPy's format 1.0 (``np.save``), from a file of ``size`` bytes.

    Not ``np.load``: it makes room for what a header promises before it looks whether the bytes
    are there, and reads a header as Python.
    """
    magic, length = file.read(len(MAGIC)), int.from_bytes(file.read(2), "little")
    header = HEADER.fullmatch(file.read(length))
    if magic != MAGIC or header is None:
        raise ValueError("it does not begin as np.save writes numbers, row by row")
    dtype = np.dtype(header["dtype"].decode())
    shape = tuple(int(number) for number in header["shape"].split(b",") if number.strip())
    promised, there = math.prod(shape) * dtype.itemsize, size - file.tell()
    if promised != there:
        raise ValueError(f"it promises {promised} bytes and has {there}")
    content = file.read(promised)
    if len(content) != promised:
        raise ValueError("it ends too soon")
    return np.frombuffer(content, dtype=dtype).reshape(shape)
