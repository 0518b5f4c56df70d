"""Native GeoArrow: coordinates in nested lists, made into Shapely geometries by the array; Z and M are left behind."""

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rasterflight._extras import need

#: How deep the coordinates of an encoding lie in lists.
DEPTH: Final = {
    "point": 0,
    "linestring": 1,
    "multipoint": 1,
    "polygon": 2,
    "multilinestring": 2,
    "multipolygon": 3,
}
#: Children of a ``geoarrow.geometry`` union by type id, tens (Z, M, ZM) aside.
_UNION: Final = {
    1: "point",
    2: "linestring",
    3: "polygon",
    4: "multipoint",
    5: "multilinestring",
    6: "multipolygon",
    7: "geometrycollection",
}


class UnreadableError(ValueError):
    """The arrays are not what the encoding says."""


def native_shapes(encoding: str, storage: pa.Array) -> np.ndarray:
    """Decode an array of an encoding in `DEPTH` into Shapely geometries, an object array; null is None.

    Raises
    ------
    UnreadableError
        The arrays are not what GeoArrow says, or a ring has too few coordinates.
    """
    shapely = need("shapely", "geo")
    valid = storage.is_valid().to_numpy(zero_copy_only=False)
    offsets, xy = unnest(storage.filter(pa.array(valid)), DEPTH[encoding])
    kind = shapely.GeometryType[encoding.upper()]
    try:
        with np.errstate(invalid="ignore"):  # NaN is found by those who know the number of the geometry
            found = shapely.from_ragged_array(kind, xy, tuple(reversed(offsets)) or None)
    except (ValueError, shapely.errors.ShapelyError) as error:
        raise UnreadableError(str(error)) from None
    shapes = np.empty(len(storage), object)
    shapes[valid] = found
    return shapes


def union_shapes(storage: pa.Array) -> np.ndarray:
    """Decode a ``geoarrow.geometry`` union; what is neither list nor point (GeometryCollection) comes as an empty one.

    Raises
    ------
    UnreadableError
        As `native_shapes`.
    """
    if not pa.types.is_union(storage.type) or storage.type.mode != "dense":
        raise UnreadableError(f"geoarrow.geometry is stored as {storage.type}, expected a dense union")
    shapely = need("shapely", "geo")
    if not len(storage):
        return np.empty(0, object)
    # from the buffers: in a slice, type_codes and offsets of pyarrow begin at the wrong place
    rows = slice(storage.offset, storage.offset + len(storage))
    _, ids_buffer, places_buffer = storage.buffers()[:3]
    ids, places = np.frombuffer(ids_buffer, np.int8)[rows], np.frombuffer(places_buffer, np.int32)[rows]
    shapes = np.empty(len(storage), object)
    for child, code in enumerate(storage.type.type_codes):
        here = ids == code
        if not here.any():
            continue
        encoding = _UNION.get(code % 10, "")
        if encoding in DEPTH:
            shapes[here] = native_shapes(encoding, storage.field(child).take(pa.array(places[here])))
        else:
            shapes[here] = shapely.GeometryCollection()
    return shapes


def unnest(array: pa.Array, depth: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Take lists apart: the offsets of each level from the outside in, all from 0, and the coordinates, shape (n, 2).

    Raises
    ------
    UnreadableError
        There are not as many levels, a part is null, or no x and y at the bottom.
    """
    offsets = []
    for _ in range(depth):
        if not _is_list(array.type) or array.null_count:
            raise UnreadableError(f"{array.null_count} nulls in {array.type}" if array.null_count else str(array.type))
        lengths = pc.list_value_length(array).to_numpy(zero_copy_only=False)
        offsets.append(np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]))
        array = array.flatten()
    return offsets, _coordinates(array)


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _coordinates(array: pa.Array) -> np.ndarray:
    """Coordinates as an array (n, 2), from interleaved or separated ones."""
    if array.null_count:
        raise UnreadableError(f"{array.null_count} coordinates are null")
    if pa.types.is_struct(array.type) and {"x", "y"} <= {field.name for field in array.type}:
        x, y = (floats(array.field(name)) for name in "xy")
        return np.column_stack([x, y])
    if pa.types.is_fixed_size_list(array.type) and array.type.list_size >= 2:  # noqa: PLR2004, x and y
        size = array.type.list_size
        return np.ascontiguousarray(floats(array.flatten()).reshape(-1, size)[:, :2])
    raise UnreadableError(f"{array.type} holds no x and y")


def floats(array: Any) -> np.ndarray:
    """Numbers of any Arrow type as float64; null is NaN."""
    return np.asarray(array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)
