"""Records from stac-geoparquet: STAC items as a table."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import fields
from itertools import repeat
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import urlsplit

import pyarrow as pa

from rasterflight_server.ingest.batches import TablePart
from rasterflight_server.ingest.columns import Flaw, Rows, field_of, footprints, hrefs, instants, properties, texts
from rasterflight_server.ingest.sources import AssetSource
from rasterflight_server.ingest.stacassets import ALL_DATA, AssetChoice, read_assets

#: Columns of an item that are not properties of it.
_ITEM: Final = frozenset(
    ["id", "geometry", "bbox", "assets", "links", "type", "stac_version", "stac_extensions", "collection", "datetime"]
)
#: Properties that what is said about files depends on.
_ABOUT_FILES: Final = (
    *("proj:code", "proj:epsg", "proj:wkt2", "proj:projjson", "proj:transform", "proj:shape"),
    *("s2:processing_baseline", "sentinel:processing_baseline"),
    *("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied"),
)
#: What is said of a file, but tells nothing of its bands and its place.
_OTHER: Final = frozenset(["href", "title", "description", "created", "updated", "gsd", "alternate"])
_OTHER_PREFIXES: Final = ("file:", "checksum:", "storage:", "auth:", "alternate:")
#: Files of which the same is said are described once; more than this many descriptions are not kept.
_MAX_KNOWN: Final = 100_000

#: Gives the file that has an href.
_Make = Callable[[str], AssetSource]


def is_stac_table(schema: pa.Schema) -> bool:
    """Whether a table is stac-geoparquet, by its columns: an id, and assets as a struct of structs with an href."""
    if not {"id", "assets"} <= set(schema.names):
        return False
    assets = schema.field("assets").type
    return pa.types.is_struct(assets) and any(
        pa.types.is_struct(asset.type) and "href" in {field.name for field in asset.type} for asset in assets
    )


class StacReader:
    """Rows of stac-geoparquet; what columns say is understood as it is in STAC items.

    An item whose ``datetime`` is null has that of ``start_datetime``.
    """

    def __init__(self, part: TablePart, choice: AssetChoice = ALL_DATA) -> None:
        self._part = part
        self._choice = choice
        self._properties = {name: name for name in part.schema.names if name not in _ITEM}
        self._known: dict[Hashable, _Make | None] = {}

    def rows(self, batch: pa.RecordBatch) -> Rows:
        """Values of a batch."""
        found = properties(batch, self._properties)
        names = set(batch.schema.names)
        whens = instants(batch, "datetime" if "datetime" in names else None)
        if "start_datetime" in names and None in whens:
            starts = instants(batch, "start_datetime")
            whens = [start if when is None else when for when, start in zip(whens, starts, strict=True)]
        return Rows(
            ids=texts(batch.column("id")),
            assets=self._assets(batch, found),
            whens=whens,
            footprints=footprints(batch, "geometry" if "geometry" in names else None, self._part.schema.metadata),
            properties=found,
        )

    def _assets(
        self, batch: pa.RecordBatch, items: Sequence[Mapping[str, Any]]
    ) -> list[tuple[AssetSource, ...] | Flaw]:
        about = [_Facts(name, batch.column(name)) for name in _ABOUT_FILES if name in batch.schema.names]
        assets = batch.column("assets")
        columns = [
            self._files(key.name, field_of(assets, key.name), about, items)
            for key in assets.type
            if pa.types.is_struct(key.type) and "href" in {field.name for field in key.type}
        ]
        reason = "the item has no asset that is a TIFF"
        if self._choice.keys:
            reason = f"the item has none of the assets {', '.join(self._choice.keys)}"
        return [tuple(filter(None, row)) or Flaw(reason) for row in zip(*columns, strict=True)]

    def _files(
        self, key: str, column: pa.StructArray, about: Sequence["_Facts"], items: Sequence[Mapping[str, Any]]
    ) -> list[AssetSource | None]:
        """The files of one key, one for each item."""
        told = [
            field.name
            for field in column.type
            if field.name not in _OTHER and not field.name.startswith(_OTHER_PREFIXES)
        ]
        own = [_Facts(name, field_of(column, name)) for name in told]
        links = hrefs(self._links(column), self._part.location)
        types = next((facts.values for facts in own if facts.name == "type"), [None] * len(links))
        signatures = zip(*(facts.signatures for facts in (*own, *about)), strict=True) if own or about else repeat(())
        found: list[AssetSource | None] = []
        for row, (href, media_type, signature) in enumerate(zip(links, types, signatures, strict=False)):
            if not href:
                found.append(None)
                continue
            # Where no media type is given, the name of the file tells what it is.
            known = (key, signature, "" if media_type else PurePosixPath(urlsplit(href).path).suffix)
            if known not in self._known:
                if len(self._known) >= _MAX_KNOWN:
                    self._known.clear()
                asset = {facts.name: facts.values[row] for facts in own if facts.values[row] is not None}
                self._known[known] = self._make(key, {**asset, "href": href}, items[row])
            make = self._known[known]
            found.append(None if make is None else make(href))
        return found

    def _links(self, column: pa.StructArray) -> pa.Array:
        """Hrefs; of those that have alternates, the one of the scheme that is preferred."""
        own = field_of(column, "href")
        names = {field.name for field in column.type}
        if self._choice.prefer is None or "alternate" not in names:
            return own
        alternates = field_of(column, "alternate")
        others = [field_of(field_of(alternates, each.name), "href") for each in alternates.type]
        rows = zip(own.to_pylist(), *(other.to_pylist() for other in others), strict=True)
        start = f"{self._choice.prefer}://"
        return pa.array(
            [next((href for href in row if href and href.lower().startswith(start)), row[0]) for row in rows]
        )

    def _make(self, key: str, asset: Mapping[str, Any], properties: Mapping[str, Any]) -> "_Make | None":
        item = {"properties": properties, "assets": {key: asset}}
        source = next(iter(read_assets(item, self._part.location, self._choice, {})), None)
        if source is None:
            return None
        same = {field.name: getattr(source, field.name) for field in fields(source) if field.name != "href"}
        return lambda href: AssetSource(href=href, **same)


class _Facts:
    """One fact about the files or items of a batch."""

    def __init__(self, name: str, array: pa.Array) -> None:
        self.name = name
        same = len(array) > 1 and array[1:].equals(array[:-1])
        values = array[:1].to_pylist() if same else array.to_pylist()
        signatures = [_hashable(value) for value in values]
        #: None: nothing is said.
        self.values: Sequence[Any] = values * len(array) if same else values
        #: What tells one value from another.
        self.signatures: Sequence[Hashable] = signatures * len(array) if same else signatures


def _hashable(value: Any) -> Hashable:
    if isinstance(value, list) and not any(isinstance(each, list | dict) for each in value):
        return tuple(value)
    return repr(value) if isinstance(value, list | dict) else value
