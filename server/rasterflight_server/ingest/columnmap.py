"""Which column of a table says what of a record."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.ingest.columns import unknown_column

_ID, _DATETIME, _GEOMETRY = "id", "datetime", "geometry"
_ROLES: Final = (_ID, _DATETIME, _GEOMETRY)
_EXAMPLE: Final = "--map id=scene,datetime=acquired,B04=red_url"


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """A map that was held against the columns of a table."""

    id: str
    #: None: the table does not say.
    datetime: str | None
    geometry: str | None
    #: Name of a band -> column of hrefs.
    bands: Mapping[str, str]

    @property
    def used(self) -> frozenset[str]:
        """Columns that are not properties."""
        return frozenset([self.id, self.datetime or "", self.geometry or "", *self.bands.values()])


def parse_map(texts: Iterable[str]) -> dict[str, str]:
    """Read maps as they are typed: ``id=scene,datetime=acquired,B04=red_url``; several count as one.

    Raises
    ------
    RequestError
        A part is not NAME=COLUMN, or a name comes twice.
    """
    found: dict[str, str] = {}
    for part in (part for text in texts for part in text.split(",")):
        name, equals, column = (word.strip() for word in part.partition("="))
        if not (name and equals and column):
            raise _bad_map(f"{part!r} in the map is not NAME=COLUMN")
        if name in found:
            raise _bad_map(f"the map says twice what {name!r} is")
        found[name] = column
    return found


def resolve_map(named: Mapping[str, str], columns: Sequence[str], table: str) -> ColumnMap:
    """Hold a map against the columns of a table.

    Parameters
    ----------
    named
        ``id``, ``datetime``, ``geometry``, or the name of a band -> column. The first three need not be named where a column
        is called like that.
    columns
        Those of the table.
    table
        Its name, for messages.

    Raises
    ------
    RequestError
        The map names a column that is not there, or no band; or nothing says the ids.
    """
    for column in named.values():
        if column not in columns:
            raise unknown_column(column, columns, table, "map")
    roles = {role: named.get(role, role if role in columns else None) for role in _ROLES}
    record = roles[_ID]
    bands = {name: column for name, column in named.items() if name not in _ROLES}
    listed = ", ".join(map(repr, columns))
    if not bands:
        raise _bad_map(
            f"{table} needs a map that says which column holds the hrefs of a band; its columns are {listed}"
        )
    if record is None:
        raise _bad_map(f"{table} needs a map that says which column holds the ids; its columns are {listed}")
    return ColumnMap(record, roles[_DATETIME], roles[_GEOMETRY], bands)


def _bad_map(message: str) -> RequestError:
    return RequestError(ErrorCode.BAD_REQUEST, message, field="map", hint=f"for example {_EXAMPLE}")
