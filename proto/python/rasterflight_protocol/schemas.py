"""Arrow schemas of the row layouts, used by the server to write and by clients to read."""

import json
from collections.abc import Iterable, Sequence

import pyarrow as pa

from rasterflight_protocol.bands import BandField, is_band, pixel_type

#: Key of the schema metadata that holds ``{crs: {"wkt": WKT2, "projjson": {...}}}`` for every value of the column ``crs``.
CRS_KEY = b"rasterflight:crs"
#: Key of the schema metadata that holds the snapshot which answered.
SNAPSHOT_KEY = b"rasterflight:snapshot"
#: Key of the schema metadata that tells, as JSON, of the one grid that all chips are on, where there is one: ``crs``, ``transform``,
#: ``width`` and ``height`` of the extent of all records on it, ``resampling`` and ``levels`` of each band that was put on it
#: (0: full resolution, n: the n-th overview), ``source_crs``, the number of records in each CRS, and ``resolution`` and ``anchor``
#: (x, y): with ``crs``, these ask for the same pixels again, whichever records take part.
GRID_KEY = b"rasterflight:grid"
#: Key of the schema metadata by which areas that go up say how many they are, so that a part is not taken for the whole.
AREAS_KEY = b"rasterflight:areas"
_CRS84_META = json.dumps({"crs": "OGC:CRS84", "crs_type": "authority_code"})


def geometry_field(crs: str | None, name: str = "geometry") -> pa.Field:
    """A ``geoarrow.wkb`` column; ``crs`` is PROJJSON, or None for lon/lat (OGC:CRS84)."""
    meta = _CRS84_META if crs is None else json.dumps({"crs": json.loads(crs), "crs_type": "projjson"})
    return pa.field(
        name,
        pa.binary(),
        metadata={"ARROW:extension:name": "geoarrow.wkb", "ARROW:extension:metadata": meta},
    )


def chips_schema(
    bands: Sequence[BandField],
    *,
    geometry_crs: str | None = None,
    with_error: bool = False,
    metadata: dict[bytes, bytes] | None = None,
) -> pa.Schema:
    """Schema of the chips layout.

    A row is a block: rows ``row_off`` to ``row_off + height`` of one chip, at full width, row-major.
    ``transform`` is the chip's (a, b, c, d, e, f as in ``affine.Affine``), ``chip_height`` and ``chip_width`` are
    its shape in pixels. ``geometry`` is the area asked for, in the CRS in which it was asked for; ``crs`` and ``transform``
    say where the pixels are. ``cloud_cover`` is the record's ``eo:cloud_cover``. In a masked read, invalid pixels are null
    inside the lists; what lies under these nulls is what an unmasked read would hold.

    Parameters
    ----------
    bands
        One list column each, in this order, after the fixed columns.
    geometry_crs
        PROJJSON of the column ``geometry``; None: OGC:CRS84.
    with_error
        Add the column ``error`` (``on_error = SKIP``): why the record could not be read; its bands are then null.
    metadata
        Schema metadata.
    """
    fields = [
        pa.field("record_id", pa.utf8(), nullable=False),
        pa.field("datetime", pa.timestamp("us", "UTC")),
        pa.field("cloud_cover", pa.float64()),
        pa.field("collection", pa.utf8(), nullable=False),
        pa.field("geometry_id", pa.int64()),
        geometry_field(geometry_crs),
        pa.field("crs", pa.utf8()),
        pa.field("transform", pa.list_(pa.field("item", pa.float64(), nullable=False), 6)),
        pa.field("chip_height", pa.int32(), nullable=False),
        pa.field("chip_width", pa.int32(), nullable=False),
        pa.field("row_off", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        *(band.to_arrow() for band in bands),
    ]
    if with_error:
        fields.append(pa.field("error", pa.utf8()))
    return pa.schema(fields, metadata=metadata)


#: Names that a band cannot have, since the chips layout uses them.
CHIPS_COLUMNS = frozenset([*chips_schema([]).names, "error"])


def band_fields(schema: pa.Schema) -> list[BandField]:
    """The bands of a chips schema, in order."""
    return [BandField.from_arrow(field) for field in schema if is_band(field)]


def pixels_schema(
    bands: Sequence[BandField], *, with_error: bool = False, metadata: dict[bytes, bytes] | None = None
) -> pa.Schema:
    """Schema of the pixels layout.

    A row is a pixel of one record and area. ``row`` and ``col`` count from 0 at the upper left pixel of the chip, which is the part of the
    record that the area's bounds cut out; ``x`` and ``y`` are the centre of the pixel in ``crs``, the same for every chip of a raster.
    Pixels outside of the area have no row; a band is null where its pixel is invalid.

    Parameters
    ----------
    bands
        One column each, in the band's own type, after the fixed columns.
    with_error
        Add the column ``error`` (``on_error = SKIP``): why a part of a chip could not be read. Such a row stands for all pixels of the
        part: it has no row, col, x, y, and its bands are null.
    metadata
        Schema metadata.
    """
    fields = [
        pa.field("record_id", pa.utf8(), nullable=False),
        pa.field("datetime", pa.timestamp("us", "UTC")),
        pa.field("cloud_cover", pa.float64()),
        pa.field("geometry_id", pa.int64()),
        pa.field("crs", pa.utf8()),
        pa.field("row", pa.int32()),
        pa.field("col", pa.int32()),
        pa.field("x", pa.float64()),
        pa.field("y", pa.float64()),
        *(band.to_arrow().with_type(pixel_type(band.dtype)) for band in bands),
    ]
    if with_error:
        fields.append(pa.field("error", pa.utf8()))
    return pa.schema(fields, metadata=metadata)


#: Names that a band cannot have in the pixels layout.
PIXELS_COLUMNS = frozenset([*pixels_schema([]).names, "error"])


def points_schema(
    *, with_neighbourhood: bool = False, with_error: bool = False, metadata: dict[bytes, bytes] | None = None
) -> pa.Schema:
    """Schema of the points layout.

    A row is the pixel of one band of one record that contains a point. ``point_index`` counts the points from 0,
    ``point_x`` and ``point_y`` are as they were given, ``point_crs`` and ``raster_crs`` are EPSG codes (null where none says
    it), ``datetime`` is UTC. In a masked read, ``value`` is null where the pixel is invalid.

    Parameters
    ----------
    with_neighbourhood
        Add the column ``neighbourhood_values``: the pixels around, row by row from the top left; null outside of the raster,
        and null as a whole where none are asked for.
    with_error
        Add the column ``error`` (``on_error = SKIP``): why a record could not be read; all but ``record_id`` is then null.
    metadata
        Schema metadata.
    """
    fields = [
        pa.field("point_index", pa.int64()),
        pa.field("point_x", pa.float64()),
        pa.field("point_y", pa.float64()),
        pa.field("point_crs", pa.int32()),
        pa.field("record_id", pa.utf8()),
        pa.field("datetime", pa.timestamp("us")),
        pa.field("collection", pa.utf8()),
        pa.field("band", pa.utf8()),
        pa.field("value", pa.float64()),
        pa.field("raster_crs", pa.int32()),
    ]
    if with_neighbourhood:
        fields.append(pa.field("neighbourhood_values", pa.list_(pa.float64())))
    if with_error:
        fields.append(pa.field("error", pa.utf8()))
    return pa.schema(fields, metadata=metadata)


def records_schema(properties: Iterable[pa.Field] = ()) -> pa.Schema:
    """Schema of the records layout and of ``records.parquet``: the fixed columns, then the collection's own.

    ``geometry`` is the footprint and ``bbox`` its bounds, both in OGC:CRS84; ``crs`` is the CRS of the rasters.
    """
    bounds = pa.struct([pa.field(name, pa.float64()) for name in ("xmin", "ymin", "xmax", "ymax")])
    return pa.schema(
        [
            pa.field("id", pa.utf8(), nullable=False),
            pa.field("datetime", pa.timestamp("us", "UTC")),
            geometry_field(None),
            pa.field("bbox", bounds),
            pa.field("crs", pa.utf8()),
            *properties,
        ]
    )


#: Names that a property of a record cannot have, since the records layout uses them.
RECORDS_COLUMNS = frozenset(records_schema().names)


def areas_schema(count: int | None = None) -> pa.Schema:
    """Schema of areas that go up by DoPut: one column of WKB. The CRS is said by the request that refers to them.

    Parameters
    ----------
    count
        How many will come; None: it is not known in advance.
    """
    field = pa.field("geometry", pa.binary(), nullable=False, metadata={"ARROW:extension:name": "geoarrow.wkb"})
    return pa.schema([field], metadata=None if count is None else {AREAS_KEY: str(count).encode()})
