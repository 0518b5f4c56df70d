"""A column of a table as footprints of records."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely
from pyproj import CRS
from pyproj.exceptions import CRSError
from shapely.geometry.base import BaseGeometry

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.ingest.columns import field_of, is_binary, plain, values
from rasterflight_server.ingest.footprint import to_lonlat
from rasterflight_server.ingest.rows import Flaw, Footprints
from rasterflight_server.ingest.stacgeometry import mend
from rasterflight_server.types.lonlat import HALF_TURN, Box

_EXTENSION, _METADATA = b"ARROW:extension:name", b"ARROW:extension:metadata"
_LON_LAT: Final = ("OGC:CRS84", "EPSG:4326")
#: ``shapely.GeometryType`` of Polygon and MultiPolygon.
_POLYGONS: Final = (3, 6)
_POLE: Final = 90.0
_BBOX: Final = ("xmin", "ymin", "xmax", "ymax")

Shapes = npt.NDArray[np.object_]
Floats = npt.NDArray[np.float64]


def footprints(batch: pa.RecordBatch, name: str | None, metadata: Mapping[bytes, bytes] | None) -> Footprints:
    """Values of a column as footprints in OGC:CRS84: from WKB, WKT or any GeoArrow encoding, in the CRS that the table states.

    They are mended as ``stacgeometry.read_footprint`` does; a column ``bbox`` helps. Without a name, no record has one.
    ``metadata`` is that of the table.

    Raises
    ------
    RequestError
        Nothing of this type is a geometry, or the CRS is not known.
    """
    if name is None:
        return Footprints([None] * batch.num_rows)
    column = batch.schema.field(name)
    shapes, missing = _shapes(batch.column(name), column)
    crs = _crs(column, metadata)
    if crs is not None:
        shapes = _projected(shapes, crs)
    shapes = shapely.force_2d(shapes)
    found: list[BaseGeometry | Flaw | None] = list(shapes)
    present = ~shapely.is_missing(shapes)
    for row in np.flatnonzero(~present & ~missing):
        found[row] = Flaw(f"its {name} is not a geometry")
    bounds, boxes = shapely.bounds(shapes), _boxes(batch)
    nowhere = present & ~np.isfinite(bounds).all(axis=1)  # as of empty ones
    for row in np.flatnonzero(nowhere):
        found[row] = None
    odd: dict[int, Sequence[str]] = {}
    for row in np.flatnonzero(present & ~nowhere & _unusual(shapes, bounds, boxes)):
        found[row], notes = mend(shapes[row], _box(boxes[row]))
        if notes:
            odd[int(row)] = notes
    return Footprints(found, odd)


def _shapes(array: pa.Array, field: pa.Field) -> tuple[Shapes, npt.NDArray[np.bool_]]:
    """Geometries, None where a value is null or cannot be read; and where it is null."""
    simple = plain(array)
    missing = simple.is_null().to_numpy(zero_copy_only=False)
    if is_binary(simple.type):
        return shapely.from_wkb(np.array(values(simple), dtype=object), on_invalid="ignore"), missing
    if pa.types.is_string(simple.type):
        return shapely.from_wkt(np.array(values(simple), dtype=object), on_invalid="ignore"), missing
    if pa.types.is_null(simple.type):
        return np.full(len(array), None, dtype=object), missing
    if _extension(array, field).startswith("geoarrow."):
        table = pa.Table.from_arrays([array], schema=pa.schema([field]))
        return np.array(gpd.GeoDataFrame.from_arrow(table, geometry=field.name).geometry, dtype=object), missing
    raise RequestError(
        ErrorCode.BAD_REQUEST,
        f"the column {field.name!r} is no geometry, its type is {simple.type}",
        field="map",
        hint="WKB, WKT and GeoArrow are",
    )


def _extension(array: pa.Array, field: pa.Field) -> str:
    if isinstance(array.type, pa.ExtensionType):
        return str(array.type.extension_name)
    return str((field.metadata or {}).get(_EXTENSION, b""), "utf-8")


def _crs(field: pa.Field, metadata: Mapping[bytes, bytes] | None) -> CRS | None:
    """CRS by the metadata of GeoArrow or GeoParquet; None: longitude and latitude, as where nothing is said."""
    said: Any = None
    own = (field.metadata or {}).get(_METADATA)
    if own is None and isinstance(field.type, pa.ExtensionType):
        own = field.type.__arrow_ext_serialize__()
    if own:
        said = json.loads(own).get("crs")
    elif metadata and b"geo" in metadata:
        said = json.loads(metadata[b"geo"]).get("columns", {}).get(field.name, {}).get("crs")
    if not said:
        return None
    try:
        crs = CRS.from_user_input(said)
    except CRSError:
        raise RequestError(
            ErrorCode.BAD_REQUEST, f"the CRS of the column {field.name!r} is not known to PROJ", field="map"
        ) from None
    return None if any(crs.equals(CRS.from_user_input(name), ignore_axis_order=True) for name in _LON_LAT) else crs


def _projected(shapes: Shapes, crs: CRS) -> Shapes:
    transformer = to_lonlat(crs.to_wkt())

    def project(coordinates: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.column_stack(transformer.transform(coordinates[:, 0], coordinates[:, 1]))

    return np.asarray(shapely.transform(shapes, project))


def _boxes(batch: pa.RecordBatch) -> Floats:
    """The column ``bbox``, shape (rows, 4); NaN where there is none."""
    kind = batch.schema.field("bbox").type if "bbox" in batch.schema.names else pa.null()
    inside = {child.name for child in kind} if pa.types.is_struct(kind) else set()
    if not inside.issuperset(_BBOX):
        return np.full((batch.num_rows, 4), np.nan)
    sides = [field_of(batch.column("bbox"), name).cast(pa.float64()) for name in _BBOX]
    return np.column_stack([side.to_numpy(zero_copy_only=False) for side in sides])


def _box(sides: Floats) -> Box | None:
    west, south, east, north = sides.tolist()
    return None if np.isnan(sides).any() else (west, south, east, north)


def _unusual(shapes: Shapes, bounds: Floats, boxes: Floats) -> npt.NDArray[np.bool_]:
    """Rows whose geometry needs a closer look."""
    west, south, east, north = bounds.T
    outside = (west < -HALF_TURN) | (east > HALF_TURN) | (south < -_POLE) | (north > _POLE)
    wide = (east - west > HALF_TURN) & (boxes[:, 0] > boxes[:, 2])
    turned = np.isclose(boxes[:, [1, 0, 3, 2]], bounds).all(axis=1) & ~np.isclose(boxes, bounds).all(axis=1)
    areas = np.isin(shapely.get_type_id(shapes), _POLYGONS)
    unusual: npt.NDArray[np.bool_] = outside | wide | turned | ~areas | ~shapely.is_valid(shapes)
    return unusual
