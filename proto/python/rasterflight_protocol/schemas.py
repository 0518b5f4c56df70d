"""Arrow schemas of the row layouts, used by the server to write and by clients to read."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

#: Key of the schema metadata that holds ``{crs: {"wkt": WKT2, "projjson": {...}}}`` for every value of the column ``crs``.
CRS_KEY = b"rasterflight:crs"
#: Key of the schema metadata that holds the snapshot which answered.
SNAPSHOT_KEY = b"rasterflight:snapshot"
_BAND_PREFIX = "rasterflight:"
_CRS84_META = json.dumps({"crs": "OGC:CRS84", "crs_type": "authority_code"})


@dataclass(frozen=True, slots=True)
class BandField:
    """Facts about a band, carried as metadata of its column."""

    name: str
    #: NumPy name of the pixel type, native byte order: ``"uint16"``.
    dtype: str
    #: The nodata value as text (``"0"``, ``"nan"``, ``"-9999.0"``); None: the band has none.
    nodata: str | None = None
    #: The records of this read differ in nodata; ``nodata`` is then None.
    nodata_varies: bool = False
    #: physical value = pixel * scale + offset. Pixels on the wire are never scaled.
    scale: float | None = None
    offset: float | None = None
    unit: str | None = None
    description: str | None = None

    def nodata_value(self) -> np.generic | None:
        """Nodata as a scalar of the band's dtype."""
        return None if self.nodata is None else np.dtype(self.dtype).type(self.nodata)

    def fill_value(self) -> np.generic:
        """What pixels outside hold: nodata, or 0 where the band has none."""
        value = self.nodata_value()
        return np.dtype(self.dtype).type(0) if value is None else value

    def to_arrow(self) -> pa.Field:
        """The list column of the chips layout."""
        facts = {
            "dtype": self.dtype,
            "nodata": self.nodata,
            "nodata_varies": "true" if self.nodata_varies else None,
            "scale": None if self.scale is None else repr(self.scale),
            "offset": None if self.offset is None else repr(self.offset),
            "unit": self.unit,
            "description": self.description,
        }
        metadata = {_BAND_PREFIX + key: value for key, value in facts.items() if value is not None}
        item = pa.field("item", pa.from_numpy_dtype(np.dtype(self.dtype)), nullable=False)
        return pa.field(self.name, pa.list_(item), metadata=metadata)

    @classmethod
    def from_arrow(cls, field: pa.Field) -> "BandField":
        """Read the facts back from a column of the chips layout."""
        facts = {
            key.decode().removeprefix(_BAND_PREFIX): value.decode()
            for key, value in (field.metadata or {}).items()
            if key.decode().startswith(_BAND_PREFIX)
        }
        return cls(
            name=field.name,
            dtype=facts["dtype"],
            nodata=facts.get("nodata"),
            nodata_varies="nodata_varies" in facts,
            scale=float(facts["scale"]) if "scale" in facts else None,
            offset=float(facts["offset"]) if "offset" in facts else None,
            unit=facts.get("unit"),
            description=facts.get("description"),
        )


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
    say where the pixels are. ``cloud_cover`` is the record's ``eo:cloud_cover``.

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
    key = (_BAND_PREFIX + "dtype").encode()
    return [BandField.from_arrow(field) for field in schema if key in (field.metadata or {})]


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
