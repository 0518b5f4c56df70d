"""Records from collections of rasteret, whose columns hold the headers of the files: none of them is opened."""

import json
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyproj import CRS
from pyproj.exceptions import CRSError

from rasterflight_server.ingest.batches import TablePart
from rasterflight_server.ingest.columns import field_of, hrefs, properties, texts
from rasterflight_server.ingest.datetimecolumn import instants
from rasterflight_server.ingest.geokeys import crs_name
from rasterflight_server.ingest.geometrycolumn import footprints
from rasterflight_server.ingest.rasteretheader import Layout, known_header
from rasterflight_server.ingest.rows import Flaw, Rows
from rasterflight_server.ingest.sources import AssetSource, BandHint

METADATA: Final = "_metadata"
#: Key of the metadata of a table that was exported from an index: its columns of properties, as JSON {column: property}.
PROPERTIES: Final = b"rasterflight:properties"
_OWN: Final = frozenset(["id", "datetime", "geometry", "bbox", "assets", "crs"])
#: Columns that rasteret makes of the datetime, to name folders by them.
_DERIVED: Final = ("year", "month")
_SEPARATE: Final = 2


def is_rasteret(schema: pa.Schema) -> bool:
    """Whether a table is a collection of rasteret: it has assets, and for some band a column with headers."""
    return {"id", "assets"} <= set(schema.names) and bool(_bands(schema))


def _bands(schema: pa.Schema) -> list[str]:
    found = []
    for field in schema:
        inside = {child.name for child in field.type} if pa.types.is_struct(field.type) else set()
        if field.name.endswith(METADATA) and {"tile_offsets", "tile_byte_counts"} <= inside:
            found.append(field.name.removesuffix(METADATA))
    return found


class RasteretReader:
    """Rows of a collection of rasteret.

    Bands of a record that lie in one file become one file with several bands. A file whose header is not in the table, or not
    enough of it, is opened like any other. What rasteret does not keep is not known: overviews, masks, scales, names of
    classes, and size, time and ETag of the files, so that reads are held against nothing. It keeps no byte order either, and
    reads all files as little-endian, as is done here; samples of odd bits are not told from whole ones, and reads of them fail.
    To have the files opened, index their hrefs by a query and a map.
    """

    def __init__(self, part: TablePart) -> None:
        self._part = part
        self._bands = _bands(part.schema)
        own = _OWN | {f"{band}{METADATA}" for band in self._bands}
        exported = (part.schema.metadata or {}).get(PROPERTIES)
        #: Column -> property.
        self._properties: dict[str, str] = (
            {name: name for name in part.schema.names if name not in own} if exported is None else json.loads(exported)
        )

    def rows(self, batch: pa.RecordBatch) -> Rows:
        """Values of a batch."""
        names = set(batch.schema.names)
        whens = instants(batch, "datetime" if "datetime" in names else None)
        columns = [_column(band, batch, self._part.location) for band in self._bands]
        files = zip(*columns, strict=True)
        return Rows(
            ids=texts(batch.column("id"), "id"),
            assets=[_assets(row, crs) for row, crs in zip(files, _crs(batch), strict=True)],
            whens=whens,
            footprints=footprints(batch, "geometry" if "geometry" in names else None, self._part.schema.metadata),
            properties=properties(batch, self._kept(batch, whens)),
        )

    def _kept(self, batch: pa.RecordBatch, whens: Sequence[datetime | Flaw | None]) -> dict[str, str]:
        """Columns of properties that say more than the datetime does."""
        repeated = set()
        for name in set(_DERIVED) & set(self._part.partitions):
            values = zip(batch.column(name).to_pylist(), whens, strict=True)
            if all(isinstance(when, datetime) and getattr(when, name) == value for value, when in values):
                repeated.add(name)
        return {column: name for column, name in self._properties.items() if column not in repeated}


class _Band(NamedTuple):
    """What a row says of one band."""

    name: str
    href: str | None
    #: 0-based sample of the file.
    sample: int
    #: None: the table does not say.
    layout: Layout | None
    transform: list[float] | None
    offsets: npt.NDArray[np.uint64]
    counts: npt.NDArray[np.uint64]


def _column(name: str, batch: pa.RecordBatch, location: str) -> list[_Band]:
    rows = batch.num_rows
    assets, facts = batch.column("assets"), batch.column(f"{name}{METADATA}")
    asset = _child(assets, name, rows)
    links = hrefs(asset if pa.types.is_string(asset.type) else _child(asset, "href", rows), "assets", location)
    samples = _child(asset, "band_index", rows).to_pylist()
    return [
        _Band(name, *values)
        for values in zip(
            links,
            [sample or 0 for sample in samples],
            _layouts(facts),
            _child(facts, "transform", rows).to_pylist(),
            _lists(field_of(facts, "tile_offsets")),
            _lists(field_of(facts, "tile_byte_counts")),
            strict=True,
        )
    ]


def _child(array: pa.Array, name: str, rows: int) -> pa.Array:
    """Child of a struct; nulls where there is none, as in tables of older versions."""
    inside = {field.name for field in array.type} if pa.types.is_struct(array.type) else set()
    return field_of(array, name) if name in inside else pa.nulls(rows)


def _layouts(facts: pa.StructArray) -> list[Layout | None]:
    named = {name: _child(facts, name, len(facts)).to_pylist() for name in Layout._fields}
    named["nodata"] = [None if value is None else _spelled(value) for value in named["nodata"]]
    named["extra_samples"] = [None if value is None else tuple(value) for value in named["extra_samples"]]
    return [Layout(*values) if values[0] is not None else None for values in zip(*named.values(), strict=True)]


def _spelled(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


def _lists(array: pa.Array) -> list[npt.NDArray[np.uint64]]:
    lists = array.cast(pa.list_(pa.int64()))
    bounds = lists.offsets.to_numpy()
    # A batch may be a slice: what lies before and after is not its own. No file is as large as a null stands for.
    inside = lists.values[bounds[0] : bounds[-1]].fill_null(-1).to_numpy().astype(np.uint64)
    return [inside[start:stop] for start, stop in pairwise((bounds - bounds[0]).tolist())]


def _assets(bands: Sequence[_Band], crs: str | None) -> tuple[AssetSource, ...]:
    files: dict[str, list[_Band]] = {}
    for band in bands:
        if band.href:
            files.setdefault(band.href, []).append(band)
    return tuple(asset for href, members in files.items() for asset in _file(href, members, crs))


def _file(href: str, members: list[_Band], crs: str | None) -> list[AssetSource]:
    """One file with all its bands, or each band as if it was a file, where tiles of others are not known."""
    names = {band.sample: band.name for band in reversed(members)}
    again = [band for band in members if names[band.sample] != band.name]
    if again:  # two names for one band
        return _file(href, [band for band in members if all(band is not other for other in again)], crs) + _file(
            href, again, crs
        )
    members.sort(key=lambda band: band.sample)
    layout = members[0].layout
    samples = (layout and layout.samples_per_pixel) or 1
    if samples == 1 and list(names) == [0]:
        return [_single(members[0], layout, crs)]
    if layout is not None and layout.planar_configuration == _SEPARATE:
        if [band.sample for band in members] != list(range(samples)):
            alone = layout._replace(samples_per_pixel=1, extra_samples=None, photometric=None)
            return [_single(band, alone, crs) for band in members]
        offsets, counts = (np.concatenate([band[i] for band in members]) for i in (-2, -1))
    else:
        offsets, counts = members[0].offsets, members[0].counts
    key = members[0].name
    known = layout is not None and max(names) < samples
    return [
        AssetSource(
            key=key,
            href=href,
            hints=tuple(BandHint(names.get(sample)) for sample in range(max(names) + 1)),
            unnamed=f"{key}_",
            header=known_header(layout, members[0].transform, crs, offsets, counts) if layout and known else None,
        )
    ]


def _single(band: _Band, layout: Layout | None, crs: str | None) -> AssetSource:
    header = None if layout is None else known_header(layout, band.transform, crs, band.offsets, band.counts)
    assert band.href is not None
    return AssetSource(key=band.name, href=band.href, single=band.name, unnamed=f"{band.name}_", header=header)


def _crs(batch: pa.RecordBatch) -> list[str | None]:
    rows, names = batch.num_rows, set(batch.schema.names)
    codes = texts(batch.column("crs"), "crs") if "crs" in names else [None] * rows
    numbers = texts(batch.column("proj:epsg"), "proj:epsg") if "proj:epsg" in names else [None] * rows
    said = [code or (number and f"EPSG:{number}") for code, number in zip(codes, numbers, strict=True)]
    return [None if text is None else _named(text) for text in said]


@lru_cache(maxsize=1024)
def _named(text: str) -> str | None:
    try:
        return crs_name(CRS.from_user_input(text))
    except CRSError:
        return None
