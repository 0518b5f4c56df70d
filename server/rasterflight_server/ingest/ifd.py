"""The directories (IFDs) of a TIFF file: tags as they stand in the file.

Read by hand rather than by a TIFF library, since the file is not trusted: here nothing is read but the tags that an index
needs, and no number in the file decides how much memory is taken before it was held against the size of the file.
"""

from collections.abc import Set as AbstractSet
from struct import Struct
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
#: What a BigTIFF says about itself: offsets of 8 bytes, and nothing more.
_BIG_HEADER: Final = (8, 0)

_NO_ENTRY: Final = (0, 0, b"")
_NO_VALUES: Final = np.empty(0, np.int64)

#: Bytes of a value that parts of directories hold.
_MAX_IN_PART: Final = 4096

#: Directories that are looked at. A COG has a dozen; a file with thousands holds images, not overviews.
_MAX_DIRECTORIES: Final = 256


class _Variant:
    """How numbers are laid out: classic TIFF or BigTIFF, in one of the byte orders."""

    def __init__(self, order: Literal["<", ">"], *, big: bool) -> None:
        self.order = order
        self.big = big
        #: Number of entries, one entry (tag, type, number of values, values or their place), and a place in the file.
        self.count = Struct(order + ("Q" if big else "H"))
        self.entry = Struct(order + ("HHQ8s" if big else "HHI4s"))
        self.pointer = Struct(order + ("Q" if big else "I"))
        self.dtypes = {kind: np.dtype(order + name) for kind, name in _TYPES.items()}
        self.sizes = {kind: dtype.itemsize for kind, dtype in self.dtypes.items()}
        self.rationals = {kind: np.dtype((order + name[1:], 2)) for kind, name in _RATIONALS.items()}
        #: Types of whole numbers.
        self.integers = {kind: Struct(order + dtype.char) for kind, dtype in self.dtypes.items() if dtype.kind in "ui"}


_VARIANTS: Final = {
    b"II*\0": _Variant("<", big=False),
    b"MM\0*": _Variant(">", big=False),
    b"II+\0": _Variant("<", big=True),
    b"MM\0+": _Variant(">", big=True),
}


class Directory:
    """One IFD. Values are read from the file when asked for."""

    def __init__(self, file: ReadAhead, variant: _Variant, entries: Data) -> None:
        self._file = file
        self._variant = variant
        # Of tags that stand twice the first counts, as for libtiff.
        found = list(variant.entry.iter_unpack(entries))
        self._entries: dict[int, tuple[int, int, bytes]] = {entry[0]: entry[1:] for entry in reversed(found)}

    def part(self, tags: AbstractSet[int]) -> "DirectoryPart | None":
        """Some of its tags, with their values, as a key for what follows from them: the files of an archive have much in common.

        None: a value is long, or cannot be read.
        """
        found = [item for item in self._entries.items() if item[0] in tags]
        sizes, rationals = self._variant.sizes, self._variant.rationals
        for place, (tag, (kind, count, value)) in enumerate(found):
            size = count * sizes.get(kind, 0)
            if size > _MAX_IN_PART or kind in rationals:
                return None
            if size > len(value):
                [offset] = self._variant.pointer.unpack(value)
                if offset + size > self._file.size:
                    return None
                found[place] = tag, (kind, count, bytes(self._file.read(offset, size)))
        return DirectoryPart(self._variant, tuple(found))

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
        return self._values(tag, self._variant.dtypes)

    def _values(self, tag: int, dtypes: dict[int, np.dtype[Any]]) -> npt.NDArray[Any]:
        entry = self._entries.get(tag)
        if entry is None:
            return _NO_VALUES
        kind, count, value = entry
        dtype = dtypes.get(kind)
        if dtype is None:
            raise corrupt(f"the TIFF tag {tag} has the unknown type {kind}")
        size = count * dtype.itemsize
        if size > len(value):
            [offset] = self._variant.pointer.unpack(value)
            return np.frombuffer(self._file.read(offset, size), dtype, count)
        return np.frombuffer(value, dtype, count)

    def integer(self, tag: int, default: int | None = None) -> int:
        """Value of a tag that is one whole number.

        Raises
        ------
        SourceError
            SOURCE_CORRUPT: there is no such tag, and no default; it has several values; or as ``array``.
        """
        single = self._single(tag)
        if single is not None:
            return single
        values = self.array(tag)
        if tag in self and values.size != 1:
            raise corrupt(f"the TIFF tag {tag} has {values.size} values instead of one")
        if values.size and values.dtype.kind in "ui":
            return int(values[0])
        if default is None:
            raise corrupt(f"the TIFF tag {tag} is missing")
        return default

    def _single(self, tag: int) -> int | None:
        """A whole number that stands in the entry itself."""
        kind, count, value = self._entries.get(tag, _NO_ENTRY)
        number = self._variant.integers.get(kind)
        if count == 1 and number is not None and number.size <= len(value):
            return int(number.unpack_from(value)[0])
        return None

    def numbers(self, tag: int) -> list[float]:
        """All values of a tag, rationals too; empty when there is no such tag."""
        values = self._values(tag, self._variant.dtypes | self._variant.rationals).astype(np.float64)
        if values.ndim == 1:
            return list(values.tolist())
        over, under = values.T
        return list(np.divide(over, under, out=np.zeros_like(over), where=under != 0).tolist())

    def text(self, tag: int) -> str:
        """Value of an ASCII tag up to its NUL; empty when there is no such tag."""
        if tag not in self:
            return ""
        raw = self.array(tag)
        return bytes(raw).partition(b"\0")[0].decode("utf-8", "replace") if raw.dtype.itemsize == 1 else ""


class DirectoryPart(Directory):
    """Some tags of a directory, without the file; equal to others that say the same."""

    def __init__(self, variant: _Variant, entries: tuple[tuple[int, tuple[int, int, bytes]], ...]) -> None:
        self._variant = variant
        self._entries = dict(entries)
        self._key = variant, entries

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DirectoryPart) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


def read_directories(file: ReadAhead) -> list[Directory]:
    """Read the chain of directories; at least one.

    Raises
    ------
    SourceError
        SOURCE_CORRUPT: not a TIFF, or a damaged one; or as the source.
    """
    variant, offset = _read_header(file)
    directories: list[Directory] = []
    seen: set[int] = set()
    while offset and len(directories) < _MAX_DIRECTORIES:
        if offset in seen:
            raise corrupt("the directories of the TIFF file go round in a circle")
        seen.add(offset)
        start = offset + variant.count.size
        [count] = variant.count.unpack(file.read(offset, variant.count.size))
        length = count * variant.entry.size
        directories.append(Directory(file, variant, file.read(start, length)))
        [offset] = variant.pointer.unpack(file.read(start + length, variant.pointer.size))
    if not directories:
        raise corrupt("the TIFF file has no directory")
    return directories


def corrupt(message: str) -> SourceError:
    """Error for bytes that are not what the format says."""
    return SourceError(ErrorCode.SOURCE_CORRUPT, message)


def _read_header(file: ReadAhead) -> tuple[_Variant, int]:
    magic = bytes(file.read(0, min(4, file.size)))
    variant = _VARIANTS.get(magic)
    if variant is None:
        raise corrupt("the file is not a TIFF" if magic else "the file is empty")
    if not variant.big:
        return variant, int(variant.pointer.unpack(file.read(4, 4))[0])
    if tuple(np.frombuffer(file.read(4, 4), variant.order + "u2")) != _BIG_HEADER:
        raise corrupt("the file is not a TIFF")
    return variant, int(variant.pointer.unpack(file.read(8, 8))[0])
