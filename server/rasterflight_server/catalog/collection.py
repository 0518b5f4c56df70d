"""A collection that is being served: its records, bands and files."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from rasterflight_protocol import ErrorCode
from rasterflight_protocol.v1.read_pb2 import Filter
from rasterflight_server.catalog.assets import AssetsFile, from_folder
from rasterflight_server.catalog.configuration import Configuration
from rasterflight_server.catalog.cql2 import where_condition
from rasterflight_server.catalog.cql2_columns import Columns
from rasterflight_server.catalog.cql2_spatial import Footprints
from rasterflight_server.catalog.database import BOUNDS, ROW, Database
from rasterflight_server.catalog.filters import (
    CLOUD_COVER,
    Near,
    checked_boxes,
    has_cloud_cover,
    narrowings,
    split_condition,
)
from rasterflight_server.catalog.format import RECORDS
from rasterflight_server.catalog.ids import Ids
from rasterflight_server.catalog.manifest import BandEntry, Manifest
from rasterflight_server.catalog.overrides import override_manifest
from rasterflight_server.catalog.overview import Overview, count_overview
from rasterflight_server.catalog.remote import beside, default_cache, fetch_configuration, fetch_index
from rasterflight_server.catalog.search import Search
from rasterflight_server.catalog.zones import Ints
from rasterflight_server.errors import BadIndexError, RequestError
from rasterflight_server.store import is_remote
from rasterflight_server.types import Asset
from rasterflight_server.types.lonlat import Box

_NAMED_IDS: Final = 5
_OPEN_TRIES: Final = 3
_HITS: Final = ("row", "id", "datetime", "geometry", "xmin", "ymin", "xmax", "ymax", "cloud_cover")


class Collection:
    """One snapshot of an index, open for any number of threads. Made by ``Collection.open``."""

    def __init__(
        self, manifest: Manifest, folder: Path, absolute: Callable[[str], str], configuration: Configuration
    ) -> None:
        #: What the index says, and the configuration where it says otherwise.
        self.manifest = override_manifest(manifest, configuration)
        #: What people say of it.
        self.configuration = configuration
        self._assets = AssetsFile(folder, manifest, absolute, configuration.bands)
        self._database = Database(folder / RECORDS)
        self._search = Search(self._database)
        self._ids = Ids(self._database)
        self._has_clouds = has_cloud_cover(self._database.schema)
        #: Bands by their own names, in the order of the index.
        self.bands: Mapping[str, BandEntry] = MappingProxyType({band.name: band for band in self.manifest.bands})
        self._crs = {crs.name: (crs.wkt, crs.projjson) for crs in manifest.crs}

    @classmethod
    def open(cls, path: str | Path, *, name: str | None = None, cache: Path | None = None) -> "Collection":
        """Open an index.

        Parameters
        ----------
        path
            Directory of the index, or its URL.
        name
            Name to serve it by; None: its own.
        cache
            Folder that indexes behind URLs are kept in; None: ``default_cache()``.

        Raises
        ------
        BadIndexError
            It is not an index, is damaged, or is too new for this server.
        SourceError
            A file of an index behind a URL cannot be fetched.
        ConfigError
            Its configuration cannot be used; says why.
        """
        tried = ""
        for _ in range(_OPEN_TRIES):
            manifest, folder, absolute, configuration = _locate(str(path), cache)
            try:
                return cls(replace(manifest, name=name or manifest.name), folder, absolute, configuration)
            except BadIndexError:
                # A rebuild removes the old snapshot after the new manifest is in place.
                if manifest.snapshot == tried:
                    raise
                tried = manifest.snapshot
        raise BadIndexError(f"the index {manifest.name!r} is being rebuilt over and over")

    @property
    def name(self) -> str:
        """Name of the collection."""
        return self.manifest.name

    @property
    def snapshot(self) -> str:
        """Id of what reads answer: another after a rebuild with another outcome, and when bands are configured otherwise."""
        digest = self.configuration.digest(self.bands)
        return f"{self.manifest.snapshot}-{digest}" if digest else self.manifest.snapshot

    @property
    def records_schema(self) -> pa.Schema:
        """Schema of the records layout: ``rasterflight_protocol.records_schema`` with the collection's own columns."""
        return self._database.schema

    @cached_property
    def overview(self) -> Overview:
        """Counts over all records; made when first asked for."""
        return count_overview(self._database, self._assets, self.manifest)

    def summary(self) -> dict[str, Any]:
        """Facts for listings: name, snapshot, records, bands ``{name: dtype}``, crs names, extent, time_range.

        ``extent`` is (minx, miny, maxx, maxy) in lon/lat, ``time_range`` two RFC 3339 texts; either may be None.
        """
        manifest = self.manifest
        return {
            "name": self.name,
            "snapshot": self.snapshot,
            "records": manifest.records,
            "bands": {band.name: band.dtypes[0] for band in manifest.bands},
            "crs": [crs.name for crs in manifest.crs],
            "extent": manifest.extent,
            "time_range": manifest.time_range,
        }

    def resolve_band(self, name: str) -> BandEntry:
        """Find a band by its name, or by another name that it answers to.

        Raises
        ------
        RequestError
            UNKNOWN_BAND: no band, or several, answer to the name.
        """
        band = self.bands.get(name)
        if band is not None:
            return band
        found = [band for band in self.bands.values() if name in band.aliases]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(repr(band.name) for band in found)
            message = f"band {name!r} may be any of: {names}"
            hint = "ask for it by one of these"
        else:
            known = [*self.bands, *dict.fromkeys(alias for band in self.bands.values() for alias in band.aliases)]
            near = get_close_matches(name, known, n=3)
            message = f"there is no band {name!r}"
            hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
            hint += f"bands: {', '.join(self.bands)}"
        raise RequestError(ErrorCode.UNKNOWN_BAND, message, field="bands", collection=self.name, hint=hint)

    def crs_definition(self, name: str) -> tuple[str, dict[str, Any]]:
        """WKT2 and PROJJSON of a CRS that ``Grid.crs`` or the column ``crs`` names; KeyError for any other."""
        return self._crs[name]

    def select(self, filters: Sequence[Filter], bounds: Box | None = None, margin: float = 0.0) -> pa.Table:
        """Records that match all filters, but for ``Filter.geometries``, which the caller tests.

        Parameters
        ----------
        filters
            As they stand in the ticket.
        bounds
            (minx, miny, maxx, maxy) in OGC:CRS84: only records whose footprint bounds meet it.
        margin
            The footprint bounds are widened by this share of their size for that.

        Returns
        -------
        pyarrow.Table
            row int64, id utf8, datetime timestamp[us] (naive UTC), geometry binary (WKB, OGC:CRS84), xmin, ymin, xmax, ymax,
            cloud_cover float64; sorted by datetime (null last), then id.

        Raises
        ------
        RequestError
            BAD_REQUEST naming the field, or RECORD_NOT_FOUND naming the ids.
        """
        hits = self._hits(self._matching(filters, bounds, margin))
        for i, item in enumerate(filters):
            if item.HasField("bbox"):
                hits = _intersecting(hits, checked_boxes(item.bbox, f"filters[{i}].bbox"))
        return hits.sort_by([("datetime", "ascending"), ("id", "ascending")])

    def matching(self, filters: Sequence[Filter]) -> Ints:
        """Numbers of the records that ``select`` would find, in no order."""
        rows = self._matching(filters)
        if any(item.HasField("bbox") for item in filters):
            rows = self.select(filters)["row"].to_numpy()
        return rows

    def column(self, name: str) -> pa.ChunkedArray:
        """One column of all records, by number: of those of the records, or of ``BOUNDS``; datetime as naive UTC."""
        return self._database.table[name]

    def _matching(self, filters: Sequence[Filter], bounds: Box | None = None, margin: float = 0.0) -> Ints:
        """Records that match all filters but ``Filter.geometries``; their bounds are all that a bbox is held against."""
        narrow = [*narrowings(filters, self.records_schema), *([] if bounds is None else [Near((bounds,), margin)])]
        splits = [split_condition(item, self.records_schema, f"filters[{i}]") for i, item in enumerate(filters)]
        where = [condition for condition in splits if condition]
        named = [self._named(item.ids, f"filters[{i}].ids") for i, item in enumerate(filters) if item.ids]
        rows = self._search.narrowed(narrow, named)
        for i, item in enumerate(filters):
            if item.where:
                footprints = Footprints(self._database, self._search, rows)
                columns = Columns(self.records_schema, self._database.documents)
                where.append(where_condition(item.where, columns, footprints, f"filters[{i}].where"))
        return self._search.matching(rows, where)

    def _hits(self, rows: Ints) -> pa.Table:
        """What ``select`` tells of some records, in the same order."""
        columns = [ROW, "id", "datetime", "geometry", *BOUNDS]
        clouds = [CLOUD_COVER] if self._has_clouds else []
        hits = self._database.table.select([*columns, *clouds]).take(pa.array(rows))
        cloud_cover = hits[CLOUD_COVER].cast(pa.float64()) if clouds else pa.nulls(len(rows), pa.float64())
        return pa.table([*hits.columns[: len(columns)], cloud_cover], names=_HITS)

    def records(self, rows: Ints, columns: Sequence[str] | None = None) -> pa.Table:
        """Return records by number, in the order given, as in ``records_schema``; ``columns`` are those that come, None: all."""
        return self._database.records(rows, columns)

    def assets(self, row: int, slots: Iterable[int]) -> list[Asset | None]:
        """Files of one record, by the numbers of their slots; None where the record has none."""
        return [self._assets.get(row, slot) for slot in slots]

    def close(self) -> None:
        """Free the records."""
        self._database.close()

    def _named(self, ids: Sequence[str], field: str) -> Ints:
        """Records by their ids."""
        rows, unknown = self._ids.find(ids)
        if unknown:
            named = ", ".join(repr(record[:100]) for record in unknown[:_NAMED_IDS])
            more = f" and {len(unknown) - _NAMED_IDS} more" if len(unknown) > _NAMED_IDS else ""
            raise RequestError(
                ErrorCode.RECORD_NOT_FOUND,
                f"the collection has no record {named}{more}",
                field=field,
                collection=self.name,
            )
        return rows


def _locate(path: str, cache: Path | None) -> tuple[Manifest, Path, Callable[[str], str], Configuration]:
    """The manifest of an index, the folder of its snapshot, what makes hrefs absolute, and the configuration."""
    if is_remote(path):
        return *fetch_index(path, cache or default_cache()), partial(beside, path), fetch_configuration(path)
    directory = Path(path).resolve()
    manifest = Manifest.read(directory)
    absolute = partial(from_folder, directory.parent)
    return manifest, directory / manifest.snapshot, absolute, Configuration.read(directory)


def _intersecting(table: pa.Table, boxes: Sequence[Box]) -> pa.Table:
    """Keep rows whose footprint, not only its bounds, meets one of the boxes."""
    keep = np.logical_or.reduce([_inside(table, box) for box in boxes])
    unsure = np.flatnonzero(~keep)
    footprints = shapely.from_wkb(table["geometry"].take(unsure).to_numpy())
    area = shapely.union_all([shapely.box(*box) for box in boxes])
    shapely.prepare(area)
    keep[unsure] = shapely.intersects(area, footprints)
    return table.filter(pa.array(keep))


def _inside(table: pa.Table, box: Box) -> npt.NDArray[np.bool_]:
    """Rows whose bounds lie inside a box."""
    minx, miny, maxx, maxy = box
    inside = pc.and_(
        pc.and_(pc.greater_equal(table["xmin"], minx), pc.less_equal(table["xmax"], maxx)),
        pc.and_(pc.greater_equal(table["ymin"], miny), pc.less_equal(table["ymax"], maxy)),
    )
    return np.asarray(inside.to_numpy())
