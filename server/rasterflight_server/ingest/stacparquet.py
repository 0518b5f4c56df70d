"""Records from stac-geoparquet: STAC items as a table."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import PurePosixPath
from typing import Any, Final, Generic, TypeVar
from urllib.parse import urlsplit

import pyarrow as pa

from rasterflight_server.ingest.batches import TablePart
from rasterflight_server.ingest.columns import field_of, hrefs, properties, texts
from rasterflight_server.ingest.datetimecolumn import instants
from rasterflight_server.ingest.geometrycolumn import footprints
from rasterflight_server.ingest.rows import Flaw, Rows
from rasterflight_server.ingest.sources import AssetSource
from rasterflight_server.ingest.stacassets import ALL_DATA, AssetChoice, GridFacts, read_assets, read_grid

#: Columns of an item that are not properties of it.
_ITEM: Final = frozenset(
    ["id", "geometry", "bbox", "assets", "links", "type", "stac_version", "stac_extensions", "collection", "datetime"]
)
#: Properties that the meaning of pixels depends on.
_MEANING: Final = (
    *("s2:processing_baseline", "sentinel:processing_baseline"),
    *("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied"),
)
#: What is said of grids, of files and of items.
_GRID: Final = ("proj:code", "proj:epsg", "proj:wkt2", "proj:projjson", "proj:transform", "proj:shape")
#: What is said of a file, but tells nothing of its bands and its place.
_OTHER: Final = frozenset(["href", "title", "description", "created", "updated", "gsd", "alternate"])
_OTHER_PREFIXES: Final = ("proj:", "file:", "checksum:", "storage:", "auth:", "alternate:")

#: Makes a file of its href and grid.
_Make = Callable[[str, GridFacts], AssetSource]


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
        self._makes = _Known[_Make | None]()
        self._grids = _Known[GridFacts]()

    def rows(self, batch: pa.RecordBatch) -> Rows:
        """Values of a batch."""
        found = properties(batch, self._properties)
        names = set(batch.schema.names)
        whens = instants(batch, "datetime" if "datetime" in names else None)
        if "start_datetime" in names and None in whens:
            starts = instants(batch, "start_datetime")
            whens = [start if when is None else when for when, start in zip(whens, starts, strict=True)]
        return Rows(
            ids=texts(batch.column("id"), "id"),
            assets=self._assets(batch, found),
            whens=whens,
            footprints=footprints(batch, "geometry" if "geometry" in names else None, self._part.schema.metadata),
            properties=found,
        )

    def _assets(
        self, batch: pa.RecordBatch, items: Sequence[Mapping[str, Any]]
    ) -> list[tuple[AssetSource, ...] | Flaw]:
        assets, meaning, place = batch.column("assets"), _Facts(batch, _MEANING), _Facts(batch, _GRID)
        columns = [
            self._files(key.name, field_of(assets, key.name), meaning, place, items)
            for key in assets.type
            if pa.types.is_struct(key.type) and "href" in {field.name for field in key.type}
        ]
        reason = "the item has no asset that is a TIFF"
        if self._choice.keys:
            reason = f"the item has none of the assets {', '.join(self._choice.keys)}"
        return [tuple(filter(None, row)) or Flaw(reason) for row in zip(*columns, strict=True)]

    def _files(
        self,
        key: str,
        column: pa.StructArray,
        meaning: "_Facts",
        place: "_Facts",
        items: Sequence[Mapping[str, Any]],
    ) -> list[AssetSource | None]:
        """The files of one key, one for each item."""
        if self._choice.keys and key not in self._choice.keys:
            return [None] * len(column)
        names = [field.name for field in column.type]
        told = [name for name in names if name not in _OTHER and not name.startswith(_OTHER_PREFIXES)]
        own, grid = _Facts(column, told), _Facts(column, [name for name in names if name in _GRID])
        found: list[AssetSource | None] = []
        for row, href in enumerate(hrefs(self._links(column), "assets", self._part.location)):
            if not href:
                found.append(None)
                continue
            # Where no media type is given, the name of the file tells what it is.
            suffix = "" if own.said(row, "type") else PurePosixPath(urlsplit(href).path).suffix
            make = self._makes.get(
                (key, suffix, own.signatures[row], meaning.signatures[row]),
                lambda: self._make(key, {**own.row(row), "href": href}, items[row]),  # noqa: B023, called at once
            )
            if make is None:
                found.append(None)
                continue
            where = self._grids.get(
                (grid.signatures[row], place.signatures[row]),
                lambda: read_grid(grid.row(row), place.row(row)),  # noqa: B023
            )
            found.append(make(href, where))
        return found

    def _links(self, column: pa.StructArray) -> pa.Array:
        """Hrefs; of those that have alternates, the one of the scheme that is preferred."""
        own = field_of(column, "href")
        if self._choice.prefer is None or "alternate" not in {field.name for field in column.type}:
            return own
        alternates = field_of(column, "alternate")
        given = [each.name for each in alternates.type if pa.types.is_struct(each.type)]
        others = [field_of(field_of(alternates, name), "href") for name in given]
        rows = zip(own.to_pylist(), *(other.to_pylist() for other in others), strict=True)
        start = f"{self._choice.prefer}://"
        chosen = [next((href for href in row if href and href.lower().startswith(start)), row[0]) for row in rows]
        return pa.array(chosen, pa.utf8())

    def _make(self, key: str, asset: Mapping[str, Any], properties: Mapping[str, Any]) -> "_Make | None":
        item = {"properties": properties, "assets": {key: asset}}
        source = next(iter(read_assets(item, self._part.location, self._choice, {})), None)
        if source is None:
            return None
        own = {"href", *GridFacts._fields}
        same = {field.name: getattr(source, field.name) for field in fields(source) if field.name not in own}
        return lambda href, grid: AssetSource(
            href=href, crs=grid.crs, transform=grid.transform, shape=grid.shape, **same
        )


Value = TypeVar("Value")


class _Known(Generic[Value]):
    """Values by what they were made of: what is said again and again is understood once."""

    _MAX: Final = 100_000

    def __init__(self) -> None:
        self._values: dict[Hashable, Value] = {}

    def get(self, signature: Hashable, make: Callable[[], Value]) -> Value:
        """The value of a signature, made when it is first met."""
        try:
            return self._values[signature]
        except KeyError:
            if len(self._values) >= self._MAX:
                self._values.clear()
            value = self._values[signature] = make()
            return value


class _Facts:
    """Some facts about the files or items of a batch, by row."""

    def __init__(self, holder: pa.RecordBatch | pa.StructArray, names: Iterable[str]) -> None:
        batch = isinstance(holder, pa.RecordBatch)
        given = set(holder.schema.names) if batch else {field.name for field in holder.type}
        self._columns: dict[str, Sequence[Any]] = {}
        signatures = []
        for name in given.intersection(names):
            array = holder.column(name) if batch else field_of(holder, name)
            same = len(array) > 1 and array[1:].equals(array[:-1])
            values = array[:1].to_pylist() if same else array.to_pylist()
            self._columns[name] = values * len(array) if same else values
            marks = [_hashable(value) for value in values]
            signatures.append(marks * len(array) if same else marks)
        #: What tells rows of which the same is said from others.
        self.signatures: list[Hashable] = list(zip(*signatures, strict=True)) or [()] * len(holder)

    def said(self, row: int, name: str) -> Any:
        """One fact; None: nothing is said."""
        return self._columns[name][row] if name in self._columns else None

    def row(self, row: int) -> dict[str, Any]:
        """What is said in a row."""
        return {name: values[row] for name, values in self._columns.items() if values[row] is not None}


def _hashable(value: Any) -> Hashable:
    if isinstance(value, list):
        # The values of a list are of one type.
        return repr(value) if value and isinstance(value[0], list | dict) else tuple(value)
    return repr(value) if isinstance(value, dict) else value
