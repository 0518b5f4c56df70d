"""The tables that a caller sees: the records of each collection, and facts about all of them."""

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import pyarrow as pa

from rasterflight_protocol import ErrorCode
from rasterflight_server.catalog import Collection
from rasterflight_server.errors import RequestError
from rasterflight_server.sql.reads import Reads
from rasterflight_server.sql.sources import RecordsSource, Source, TableSource
from rasterflight_server.types.caller import Caller

CATALOG: Final = "rasterflight"
MAIN: Final = "main"
INFORMATION: Final = "information_schema"
TABLE: Final = "TABLE"
VIEW: Final = "VIEW"

_TEXT: Final = pa.utf8()
_SCHEMAS: Final = {
    "schemata": {"catalog_name": _TEXT, "schema_name": _TEXT},
    "tables": {"table_catalog": _TEXT, "table_schema": _TEXT, "table_name": _TEXT, "table_type": _TEXT},
    "columns": {
        "table_catalog": _TEXT,
        "table_schema": _TEXT,
        "table_name": _TEXT,
        "column_name": _TEXT,
        "ordinal_position": pa.int32(),
        "is_nullable": _TEXT,
        "data_type": _TEXT,
    },
    "collections": {
        "collection": _TEXT,
        "title": _TEXT,
        "description": _TEXT,
        "license": _TEXT,
        "records": pa.int64(),
        "snapshot": _TEXT,
        "crs": pa.list_(_TEXT),
        "extent": pa.list_(pa.float64()),
        "start_datetime": _TEXT,
        "end_datetime": _TEXT,
    },
    "bands": {
        "collection": _TEXT,
        "band": _TEXT,
        "ordinal_position": pa.int32(),
        "data_type": _TEXT,
        "nodata": _TEXT,
        "unit": _TEXT,
        "scale": pa.float64(),
        "offset": pa.float64(),
        "description": _TEXT,
        "aliases": pa.list_(_TEXT),
    },
}


class Listed(NamedTuple):
    """A table, by its place."""

    schema_name: str
    name: str
    kind: str
    columns: pa.Schema


class Tables:
    """All tables of one caller.

    Parameters
    ----------
    reads
        The service.
    caller
        Who asks; of collections that he may not read there is no table.
    """

    def __init__(self, reads: Reads, caller: Caller) -> None:
        self._collections: Mapping[str, Collection] = {
            name: one for name, one in sorted(reads.collections.items()) if caller.may_read(name)
        }

    def find(self, path: Sequence[str]) -> Source:
        """The table of a name, with or without the names of its schema and catalog.

        Raises
        ------
        RequestError
            COLLECTION_NOT_FOUND: there is none; names the nearest.
        """
        schema = path[-2].casefold() if len(path) > 1 else MAIN
        in_catalog = len(path) < 3 or (len(path) == 3 and path[0].casefold() == CATALOG)  # noqa: PLR2004 - catalog, schema, table
        if in_catalog and schema == MAIN:
            name = _match(path[-1], self._collections)
            if name is not None:
                return RecordsSource(self._collections[name])
        if in_catalog and schema == INFORMATION:
            name = _match(path[-1], _SCHEMAS)
            if name is not None:
                return self._view(name)
        raise _missing("table", ".".join(path), [*self._collections, *(f"{INFORMATION}.{name}" for name in _SCHEMAS)])

    def listed(self) -> Iterator[Listed]:
        """All tables, by schema and name."""
        for name in sorted(_SCHEMAS):
            yield Listed(INFORMATION, name, VIEW, pa.schema(_SCHEMAS[name]))
        for name, collection in self._collections.items():
            yield Listed(MAIN, name, TABLE, collection.records_schema)

    def bands(self, collection: str) -> list[str]:
        """All bands of a collection; COLLECTION_NOT_FOUND: there is none of the name."""
        return list(self._collection(collection).bands)

    def some_ids(self, collection: str) -> list[str]:
        """The id of one record, if there is any; COLLECTION_NOT_FOUND as above."""
        return [str(found) for found in self._collection(collection).column("id").slice(0, 1)]

    def _collection(self, name: str) -> Collection:
        if name not in self._collections:
            raise _missing("collection", name, list(self._collections))
        return self._collections[name]

    def _view(self, name: str) -> TableSource:
        schema = pa.schema(_SCHEMAS[name])
        views: Mapping[str, Callable[[], Iterable[tuple[object, ...]]]] = {
            "schemata": lambda: [(CATALOG, INFORMATION), (CATALOG, MAIN)],
            "tables": lambda: [(CATALOG, one.schema_name, one.name, one.kind) for one in self.listed()],
            "columns": self._columns,
            "collections": self._about,
            "bands": self._bands,
        }

        def make() -> pa.Table:
            return pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in views[name]()], schema)

        return TableSource(schema, make)

    def _columns(self) -> Iterator[tuple[object, ...]]:
        for table in self.listed():
            for number, field in enumerate(table.columns, 1):
                nullable = "YES" if field.nullable else "NO"
                yield CATALOG, table.schema_name, table.name, field.name, number, nullable, str(field.type)

    def _about(self) -> Iterator[tuple[object, ...]]:
        for name, one in self._collections.items():
            manifest, told = one.manifest, one.configuration
            start, end = manifest.time_range or (None, None)
            crs = [each.name for each in manifest.crs]
            about = (told.title, told.description, told.license)
            yield name, *about, manifest.records, one.snapshot, crs, manifest.extent, start, end

    def _bands(self) -> Iterator[tuple[object, ...]]:
        for name, one in self._collections.items():
            for number, band in enumerate(one.bands.values(), 1):
                facts = (band.dtypes[0], band.nodatas[0], band.unit, band.scale, band.offset, band.description)
                yield name, band.name, number, *facts, list(band.aliases)


def _match(name: str, names: Mapping[str, object]) -> str | None:
    """The name as it is, or the only one that differs in case alone."""
    if name in names:
        return name
    alike = [one for one in names if one.casefold() == name.casefold()]
    return alike[0] if len(alike) == 1 else None


def _missing(what: str, name: str, there: Sequence[str]) -> RequestError:
    near = difflib.get_close_matches(name, there, n=1)
    return RequestError(
        ErrorCode.COLLECTION_NOT_FOUND,
        f"there is no {what} {name[:100]!r}",
        field="query",
        hint=f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(there[:20]) or 'none'}",
    )
