"""Indexes as stac-geoparquet: a STAC item of version 1.1 in each row."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from rasterflight_protocol.schemas import RECORDS_COLUMNS
from rasterflight_server.catalog.manifest import BandEntry
from rasterflight_server.ingest.indexrows import IndexRows, SlotAsset
from rasterflight_server.ingest.properties import free_name
from rasterflight_server.ingest.sources import Failure
from rasterflight_server.types import Asset, Profile

_VERSION: Final = "1.1.0"
#: Extension -> prefix of its fields.
_EXTENSIONS: Final = {
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json": "proj:",
    "https://stac-extensions.github.io/raster/v2.0.0/schema.json": "raster:",
    "https://stac-extensions.github.io/classification/v2.0.0/schema.json": "classification:",
    "https://stac-extensions.github.io/eo/v2.0.0/schema.json": "eo:",
}
_MEDIA_TYPE: Final = "image/tiff; application=geotiff"
_BAND: Final = {
    "name": pa.utf8(),
    "description": pa.utf8(),
    "data_type": pa.utf8(),
    "nodata": pa.float64(),
    "unit": pa.utf8(),
    "eo:common_name": pa.utf8(),
    "raster:scale": pa.float64(),
    "raster:offset": pa.float64(),
    "classification:classes": pa.list_(pa.struct([("value", pa.int64()), ("name", pa.utf8())])),
}
_ASSET: Final = {
    "href": pa.utf8(),
    "type": pa.utf8(),
    "roles": pa.list_(pa.utf8()),
    "proj:code": pa.utf8(),
    "proj:wkt2": pa.utf8(),
    "proj:shape": pa.list_(pa.int64()),
    "proj:transform": pa.list_(pa.float64()),
}
_LINK: Final = pa.struct([("href", pa.utf8()), ("rel", pa.utf8()), ("type", pa.utf8()), ("title", pa.utf8())])
#: Types of pixels that STAC has other words for.
_DATA_TYPES: Final = {"complex64": "cfloat32", "complex128": "cfloat64"}
_ROW_GROUP: Final = 10_000
#: Values of classes beyond cannot be told in a column with negative ones.
_INT64_END: Final = 2**63


def write_stac(rows: IndexRows, path: Path, fail: Callable[[Failure], None]) -> int:
    """Write stac-geoparquet (version 1.1 of its specification).

    Parameters
    ----------
    rows
        The index.
    path
        File to write.
    fail
        Called with each file that cannot be in it.

    Returns
    -------
    int
        Items that were written.
    """
    items = _Items(rows, fail)
    with pq.ParquetWriter(path, items.schema, compression="zstd") as writer:
        waiting: list[pa.RecordBatch] = []
        for batch, files in rows.batches():
            waiting.append(items.batch(batch, files))
            if sum(each.num_rows for each in waiting) >= _ROW_GROUP:
                writer.write_table(pa.Table.from_batches(waiting))
                waiting = []
        if waiting:
            writer.write_table(pa.Table.from_batches(waiting))
    return rows.manifest.records


class _Items:
    """Batches of an index as items."""

    def __init__(self, rows: IndexRows, fail: Callable[[Failure], None]) -> None:
        self._fail = fail
        self._collection = rows.manifest.name
        self._extensions = _extensions(_asset_type(rows))
        self._bands: Mapping[str, BandEntry] = {band.name: band for band in rows.manifest.bands}
        self._slots = [slot.bands for slot in rows.manifest.slots]
        #: Key of the asset of each slot: what an only band is called, that band will be called again.
        self._keys = [slot.bands[0] if len(slot.bands) == 1 else slot.key for slot in rows.manifest.slots]
        own = {
            "type": pa.utf8(),
            "stac_version": pa.utf8(),
            "stac_extensions": pa.list_(pa.utf8()),
            "id": pa.utf8(),
            "collection": pa.utf8(),
            "links": pa.list_(_LINK),
            "assets": pa.struct([(key, _asset_type(rows)) for key in dict.fromkeys(self._keys)]),
        }
        taken = {name.casefold() for name in own} | RECORDS_COLUMNS
        #: Column -> property.
        self._properties: dict[str, str] = {}
        for name in rows.schema.names:
            if name not in RECORDS_COLUMNS:
                column = free_name(name, taken)
                taken.add(column.casefold())
                self._properties[column] = name
        metadata = {
            **{key: value for key, value in (rows.schema.metadata or {}).items() if key == b"geo"},
            b"stac-geoparquet": json.dumps({"version": "1.1.0"}).encode(),
        }
        fields = [pa.field(name, kind) for name, kind in own.items()]
        fields[4:4] = [rows.schema.field(name) for name in ("geometry", "bbox", "datetime")]
        fields += [rows.schema.field(name).with_name(column) for column, name in self._properties.items()]
        self.schema = pa.schema(fields, metadata)

    def batch(self, batch: pa.RecordBatch, files: Sequence[Sequence[SlotAsset]]) -> pa.RecordBatch:
        count = batch.num_rows
        ids = batch.column("id").to_pylist()
        own = {
            **{name: batch.column(name) for name in ("id", "geometry", "bbox", "datetime")},
            "type": pa.repeat("Feature", count),
            "stac_version": pa.repeat(_VERSION, count),
            "stac_extensions": pa.array([self._extensions] * count, pa.list_(pa.utf8())),
            "collection": pa.repeat(self._collection, count),
            "links": pa.array([[]] * count, pa.list_(_LINK)),
            "assets": pa.array(
                [self._assets(*row) for row in zip(ids, files, strict=True)], self.schema.field("assets").type
            ),
        }
        columns = [
            batch.column(self._properties[name]) if name in self._properties else own[name]
            for name in self.schema.names
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _assets(self, record: str, files: Sequence[SlotAsset]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for slot, asset in files:
            key = self._keys[slot]
            if key in found:
                self._fail(Failure(record, asset.key, f"another file of the record is called {key!r}"))
            else:
                found[key] = self._asset(asset, self._slots[slot])
        return found

    def _asset(self, asset: Asset, names: Sequence[str]) -> dict[str, Any]:
        grid = asset.grid
        coded = grid.crs is not None and _is_code(grid.crs)
        return {
            "href": asset.href,
            "type": _MEDIA_TYPE,
            "roles": ["data"],
            "proj:code": grid.crs if coded else None,
            "proj:wkt2": None if coded else grid.crs,
            "proj:shape": [grid.height, grid.width],
            "proj:transform": list(grid.transform[:6]) if grid.located else None,
            "bands": [self._band(asset, sample, name, single=len(names) == 1) for sample, name in enumerate(names)],
        }

    def _band(self, asset: Asset, sample: int, name: str, *, single: bool) -> dict[str, Any]:
        # A file's only band is called by the key of the asset, which leaves room for another name.
        first, second, *_ = [*self._bands[name].aliases, None, None]
        return {
            **_meaning(asset.profile, sample),
            "name": (first or name) if single else name,
            "eo:common_name": second if single else first,
        }


def _meaning(profile: Profile, sample: int) -> dict[str, Any]:
    meta, dtype = profile.bands[sample], profile.levels[0].dtype
    return {
        "description": meta.description,
        "data_type": _DATA_TYPES.get(dtype, dtype),
        "nodata": None if profile.nodata is None else float(profile.nodata),
        "unit": meta.unit,
        "raster:scale": meta.scale,
        "raster:offset": meta.offset,
        "classification:classes": None
        if meta.categories is None
        else [{"value": value, "name": text} for value, text in meta.categories if value < _INT64_END],
    }


def _asset_type(rows: IndexRows) -> pa.DataType:
    """Fields of an asset, but for those that are null in all of them: in JSON null is not the same as nothing."""
    known = [_meaning(profile, sample) for profile in rows.profiles for sample in range(len(profile.bands))]
    used = {"name", *(name for facts in known for name, value in facts.items() if value is not None)}
    alone = {slot.bands[0] for slot in rows.manifest.slots if len(slot.bands) == 1}
    if any(len(band.aliases) > (band.name in alone) for band in rows.manifest.bands):
        used.add("eo:common_name")
    coded = [_is_code(crs.name) for crs in rows.manifest.crs]
    unused = {name for name, there in (("proj:code", any(coded)), ("proj:wkt2", not all(coded))) if not there}
    band = pa.struct([(name, kind) for name, kind in _BAND.items() if name in used])
    return pa.struct(
        [*((name, kind) for name, kind in _ASSET.items() if name not in unused), ("bands", pa.list_(band))]
    )


def _extensions(asset: pa.DataType) -> list[str]:
    names = [field.name for field in (*asset, *asset.field("bands").type.value_type)]
    return [url for url, prefix in _EXTENSIONS.items() if any(name.startswith(prefix) for name in names)]


def _is_code(crs: str) -> bool:
    """Whether a CRS is a code such as EPSG:32618, not WKT."""
    return "[" not in crs
