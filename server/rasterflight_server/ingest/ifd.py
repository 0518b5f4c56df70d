"""The directories (IFDs) of a TIFF file: tags as they stand in the file.

Read by hand rather than by a TIFF library, since the file is not trusted: here nothing is read but the tags that an index
needs, and no number in the file decides how much memory is taken before it was held against the size of the file.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError
from rasterflight_server.store import Data, ReadAhead

# TIFF field type -> NumPy type.
_TYPES: Final = {
    1: "u1", 2: "u1", 3: "u2", 4: "u4", 6: "i1", 7: "u1", 8: "i2", 9: "i4",
    11: "f4", 12: "f8", 13: "u4", 16: "u8", 17: "i8", 18: "u8",
}  # fmt: skip
#: Pairs of numbers, over and under the line.
_RATIONALS: Final = {5: "2u4", 10: "2i4"}
_CLASSIC_ENTRY: Final = 12
#: What a BigTIFF says about itself: offsets of 8 bytes, and nothing more.
_BIG_HEADER: Final = (8, 0)

#: Directories that are looked at. A COG has a dozen; a file with thousands holds images, not overviews.
_MAX_DIRECTORIES: Final = 256


@dataclass(frozen=True, slots=True)
class _Variant:
    """How numbers are laid out: classic TIFF or BigTIFF, in one of the byte orders."""

    order: Literal["<", ">"]
    count: str
    entry: int
    pointer: str

    def dtype(self, kind: str) -> np.dtype[Any]:
        return np.dtype(self.order + kind)


class Directory:
    """One IFD. Values are read from the file when asked for."""

    def __init__(self, file: ReadAhead, variant: _Variant, entries: Data) -> None:
        self._file = file
        self._variant = variant
        size = variant.entry
        # Of tags that stand twice the first counts, as for libtiff.
        self._entries = {
            int(np.frombuffer(entries, variant.dtype("u2"), 1, start)[0]): start
            for start in reversed(range(0, len(entries), size))
        }
        self._raw = entries

    @property
    def big_endian(self) -> bool:
        """Byte order of the file, and so of its pixels."""
        return self._variant.order == ">"

    def __contains__(self, tag: int) -> bool:
        return tag in self._entries

    def array(self, tag: int) -> npt.NDArray[Any]:
        """All values of a tag; empty when there is no such tag.

        Raises
        ------
        SourceError
            SOURCE_CORRUPT: the values lie outside the file, or are of an unknown type.
        """
        return self._values(tag, _TYPES)

    def _values(self, tag: int, types: dict[int, str]) -> npt.NDArray[Any]:
        start = self._entries.get(tag)
        if start is None:
            return np.empty(0, np.int64)
        pointer = self._variant.dtype(self._variant.pointer)
        kind = int(np.frombuffer(self._raw, self._variant.dtype("u2"), 1, start + 2)[0])
        count = int(np.frombuffer(self._raw, pointer, 1, start + 4)[0])
        if kind not in types:
            raise corrupt(f"the TIFF tag {tag} has the unknown type {kind}")
        dtype = np.dtype(types[kind]).newbyteorder(self._variant.order)
        inline = start + 4 + pointer.itemsize
        if count * dtype.itemsize <= pointer.itemsize:
            return np.frombuffer(self._raw, dtype, count, inline)
        offset = int(np.frombuffer(self._raw, pointer, 1, inline)[0])
        return np.frombuffer(self._file.read(offset, count * dtype.itemsize), dtype, count)

    def integer(self, tag: int, default: int | None = None) -> int:
        """Value of a tag that is one whole number.

        Raises
        ------
        SourceError
            SOURCE_CORRUPT: there is no such tag, and no default; it has several values; or as ``array``.
        """
        values = self.array(tag)
        if tag in self and values.size != 1:
            raise corrupt(f"the TIFF tag {tag} has {values.size} values instead of one")
        if values.size and values.dtype.kind in "ui":
            return int(values[0])
        if default is None:
            raise corrupt(f"the TIFF tag {tag} is missing")
        return default

    def numbers(self, tag: int) -> list[float]:
        """All values of a tag, rationals too; empty when there is no such tag."""
        values = self._values(tag, _TYPES | _RATIONALS).astype(np.float64)
        if values.ndim == 1:
            return list(values.tolist())
        over, under = values.T
        return list(np.divide(over, under, out=np.zeros_like(over), where=under != 0).tolist())

    def text(self, tag: int) -> str:
        """Value of an ASCII tag up to its NUL; empty when there is no such tag."""
        raw = self.array(tag)
        return bytes(raw).partition(b"\0")[0].decode("utf-8", "replace") if raw.dtype.itemsize == 1 else ""


def read_directories(file: ReadAhead) -> list[Directory]:
    """Read the chain of directories; at least one.

    Raises
    ------
    SourceError
        SOURCE_CORRUPT: not a TIFF, or a damaged one; or as the source.
    """
    variant, offset = _read_header(file)
    pointer = variant.dtype(variant.pointer)
    directories: list[Directory] = []
    seen: set[int] = set()
    while offset and len(directories) < _MAX_DIRECTORIES:
        if offset in seen:
            raise corrupt("the directories of the TIFF file go round in a circle")
        seen.add(offset)
        count_dtype = variant.dtype(variant.count)
        start = offset + count_dtype.itemsize
        length = int(np.frombuffer(file.read(offset, count_dtype.itemsize), count_dtype)[0]) * variant.entry
        directories.append(Directory(file, variant, file.read(start, length)))
        offset = int(np.frombuffer(file.read(start + length, pointer.itemsize), pointer)[0])
    if not directories:
        raise corrupt("the TIFF file has no directory")
    return directories


def corrupt(message: str) -> SourceError:
    """Error for bytes that are not what the format says."""
    return SourceError(ErrorCode.SOURCE_CORRUPT, message)


def _read_header(file: ReadAhead) -> tuple[_Variant, int]:
    magic = bytes(file.read(0, min(4, file.size)))
    orders: tuple[tuple[Literal["<", ">"], bytes], ...] = (("<", b"II"), (">", b"MM"))
    for order, mark in orders:
        for version, variant, start in (
            (42, _Variant(order, "u2", _CLASSIC_ENTRY, "u4"), 4),
            (43, _Variant(order, "u8", 20, "u8"), 8),
        ):
            if magic == mark + np.array(version, variant.dtype("u2")).tobytes():
                pointer = variant.dtype(variant.pointer)
                if (
                    variant.entry > _CLASSIC_ENTRY
                    and tuple(np.frombuffer(file.read(4, 4), variant.dtype("u2"))) != _BIG_HEADER
                ):
                    raise corrupt("the file is not a TIFF")
                return variant, int(np.frombuffer(file.read(start, pointer.itemsize), pointer)[0])
    raise corrupt("the file is empty" if not magic else "the file is not a TIFF")
