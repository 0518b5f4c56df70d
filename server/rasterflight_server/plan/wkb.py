"""WKB before it is parsed: what cannot be polygons is set aside, and vertices are counted.

The parser recurses into collections, so that a few hundred kilobytes of nothing but their beginnings would end the process.
"""

import struct
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_POLYGON: Final = 3
_MULTIPOLYGON: Final = 6
#: Points and lines.
_FLAT: Final = (1, 2)
#: Of points, of lines, and of anything.
_COLLECTIONS: Final = (4, 5, 7)
_HAS_Z, _HAS_M, _HAS_SRID = 0x80000000, 0x40000000, 0x20000000
_HEADER: Final = 9
_ONE_RING: Final = 13
_MEAN_PART: Final = 19
#: How a little-endian, two-dimensional polygon of one ring begins, and a multipolygon of one part.
_ONE_RING_HEAD: Final = np.frombuffer(struct.pack("<BII", 1, _POLYGON, 1), np.uint8)
_ONE_PART: Final = np.frombuffer(struct.pack("<BII", 1, _MULTIPOLYGON, 1), np.uint8)
_UNUSABLE: Final = b""

Objects = npt.NDArray[np.object_]


def tamed(values: Objects) -> tuple[Objects, int]:
    """Make WKB safe to parse.

    Parameters
    ----------
    values
        WKB as it came.

    Returns
    -------
    values, vertices
        The same, with empty ones of their kind in place of collections that are no multipolygons, and with nothing in place of what
        is damaged; how many vertices the polygons have.
    """
    simple, vertices = _simple(values)
    others = np.flatnonzero(~simple)
    if len(others):
        values = values.copy()
    for number in others.tolist():
        values[number], more = _tamed(values[number])
        vertices += more
    return values, vertices


def _simple(values: Objects) -> tuple[npt.NDArray[np.bool_], int]:
    """Which are polygons of one ring, or multipolygons of one such, as most are; and their vertices."""
    array = pa.array(values, pa.large_binary())
    offsets = np.frombuffer(array.buffers()[1], np.int64, len(array) + 1)
    data = np.frombuffer(array.buffers()[2] or b"", np.uint8)
    starts, sizes = offsets[:-1].copy(), np.diff(offsets)
    wraps = sizes >= _HEADER
    wraps[wraps] = (_bytes(data, starts[wraps], _HEADER) == _ONE_PART).all(axis=1)
    starts[wraps] += _HEADER
    sizes[wraps] -= _HEADER
    simple = sizes >= _ONE_RING
    heads = _bytes(data, starts[simple], _ONE_RING)
    points = np.ascontiguousarray(heads[:, _HEADER:]).view("<u4").astype(np.int64)[:, 0]
    fits = (heads[:, :_HEADER] == _ONE_RING_HEAD).all(axis=1) & (sizes[simple] == _ONE_RING + 16 * points)
    simple[simple] = fits
    return simple, int(points[fits].sum())


def _bytes(data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.uint8]:
    return np.asarray(data[starts[:, None] + np.arange(count)])


def _tamed(value: bytes) -> tuple[bytes, int]:
    try:
        kind, position, order, dimensions = _head(value, 0)
        if kind in _FLAT:
            return value, 0
        if kind == _POLYGON:
            _, vertices = _rings(value, position, order, dimensions)
            return value, vertices
        if kind == _MULTIPOLYGON:
            return value, _parts(value, position, order)
        return struct.pack("<BII", 1, kind, 0) if kind in _COLLECTIONS else _UNUSABLE, 0
    except (struct.error, _DamagedError):
        return _UNUSABLE, 0


def _parts(value: bytes, position: int, order: str) -> int:
    [count] = struct.unpack_from(f"{order}I", value, position)
    position += 4
    # An empty part takes 9 bytes here, and 200 when it is parsed: there may be as many as full ones, of 29 bytes or more.
    if count > 1 and count * _MEAN_PART > len(value):
        raise _DamagedError
    vertices = 0
    for _ in range(count):
        kind, position, inner, dimensions = _head(value, position)
        if kind != _POLYGON:
            raise _DamagedError
        position, inside = _rings(value, position, inner, dimensions)
        vertices += inside
    return vertices


def _head(value: bytes, position: int) -> tuple[int, int, str, int]:
    """Kind of a geometry, where its body begins, the order of its bytes, and bytes of a vertex."""
    order = {0: ">", 1: "<"}.get(value[position] if position < len(value) else -1)
    if order is None:
        raise _DamagedError
    [code] = struct.unpack_from(f"{order}I", value, position + 1)
    thousands, kind = divmod(code & 0xFFFF, 1000)
    has_z = bool(code & _HAS_Z) or thousands in (1, 3)
    has_m = bool(code & _HAS_M) or thousands in (2, 3)
    return kind, position + (_HEADER if code & _HAS_SRID else _HEADER - 4), order, 8 * (2 + has_z + has_m)


def _rings(value: bytes, position: int, order: str, dimensions: int) -> tuple[int, int]:
    """Where a polygon ends, and its vertices."""
    [count] = struct.unpack_from(f"{order}I", value, position)
    position += 4
    vertices = 0
    for _ in range(count):
        [points] = struct.unpack_from(f"{order}I", value, position)
        position += 4 + points * dimensions
        if not points or position > len(value):
            raise _DamagedError
        vertices += points
    return position, vertices


class _DamagedError(Exception):
    """It ends too early, or holds what it must not."""
