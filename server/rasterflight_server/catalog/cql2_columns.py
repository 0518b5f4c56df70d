"""Names in a CQL2 expression, and the columns that they mean."""

from collections.abc import Collection, Sequence
from difflib import get_close_matches
from typing import Any, Final

import pyarrow as pa

from rasterflight_server.catalog.cql2_terms import Kind, Term, WhereError, combine
from rasterflight_server.catalog.database import BOUNDS, quoted
from rasterflight_server.catalog.filters import Condition

_PROPERTIES: Final = "properties"
_NAMED: Final = 40
_BOUNDS: Final = {bound.rpartition(":")[2]: bound for bound in BOUNDS}


class Columns:
    """The columns that expressions may use.

    Parameters
    ----------
    schema
        Columns of the records.
    documents
        Those of text in which some values are JSON lists or objects.
    """

    def __init__(self, schema: pa.Schema, documents: Collection[str] = ()) -> None:
        self._schema = schema
        self._documents = documents

    def resolve(self, name: str) -> Term:
        """Find what a name means.

        A column by its name; else a member of a column that is a struct or holds JSON objects, by the way to it
        (``view.azimuth``, ``bbox.xmin``); a leading ``properties.`` may stand before either.

        Raises
        ------
        WhereError
            There is nothing of that name; names the nearest.
        """
        term = self._find(name)
        if term is None:
            raise self._unknown(name)
        return term

    def _find(self, name: str) -> Term | None:
        prefix, _, rest = name.partition(".")
        # As ingest calls a property whose name is also that of a column.
        own = f"{_PROPERTIES}:{rest}"
        if prefix == _PROPERTIES and own in self._schema.names:
            return self._column(own)
        if name in self._schema.names:
            return self._column(name)
        parts = name.split(".")
        for stop in range(len(parts) - 1, 0, -1):
            column = ".".join(parts[:stop])
            if column in self._schema.names:
                return self._member(column, parts[stop:])
        return self._find(rest) if prefix == _PROPERTIES and rest else None

    def _column(self, name: str) -> Term:
        if name == "geometry":
            return Term(Kind.FOOTPRINT, Condition("geometry", ()), _label(name))
        # The table has it without its zone, as UTC.
        kind = pa.timestamp("us") if name == "datetime" else self._schema.field(name).type
        if name == "bbox":
            raise WhereError("column 'bbox' is a struct", "name one of its members, such as bbox.xmin")
        return _term(Condition(quoted(name), ()), kind, name, has_documents=name in self._documents)

    def _member(self, column: str, way: Sequence[str]) -> Term | None:
        kind = self._schema.field(column).type
        name = ".".join([column, *way])
        if column == "bbox":
            bound = _BOUNDS.get(".".join(way))
            return None if bound is None else _term(Condition(quoted(bound), ()), pa.float64(), name)
        if column in self._documents:
            pointer = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in way)
            source = quoted(column)
            sql = f"CASE WHEN json_valid({source}) THEN json_extract({source}, ?::VARCHAR) END"
            return Term(Kind.DOCUMENT, Condition(sql, (pointer,)), _label(name))
        sql = quoted(column)
        for part in way:
            if not pa.types.is_struct(kind) or kind.get_field_index(part) < 0:
                return None
            kind = kind.field(part).type
            sql = f"({sql}).{quoted(part)}"
        return _term(Condition(sql, ()), kind, name)

    def _unknown(self, name: str) -> WhereError:
        members = [
            f"{column.name}.{member.name}"
            for column in self._schema
            if pa.types.is_struct(column.type)
            for member in column.type
        ]
        columns = [column for column in self._schema.names if column != "bbox"]
        folded = {known.casefold(): known for known in (*columns, *members)}
        near = [folded[match] for match in get_close_matches(name.casefold(), folded, n=3)]
        hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
        more = f" and {len(columns) - _NAMED} more" if len(columns) > _NAMED else ""
        return WhereError(
            f"the collection has no column {name[:100]!r}", f"{hint}columns: {', '.join(columns[:_NAMED])}{more}"
        )


def _label(name: str) -> str:
    return f"column {name[:100]!r}"


def _term(value: Condition, kind: pa.DataType, name: str, *, has_documents: bool = False) -> Term:
    label = _label(name)
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    match kind:
        case _ if pa.types.is_boolean(kind):
            term = Term(Kind.TRUTH, value, label)
        case _ if pa.types.is_integer(kind):
            term = Term(Kind.NUMBER, value, label, whole=True)
        case _ if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            # NaN is no value: DuckDB would take it for the largest of all.
            term = Term(Kind.NUMBER, combine("nullif(CAST({0} AS DOUBLE), 'NaN'::DOUBLE)", value), label)
        case _ if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            term = Term(Kind.TEXT, value, label, has_documents=has_documents)
        case _ if pa.types.is_timestamp(kind) and kind.tz:
            term = Term(Kind.TIME, combine("make_timestamp(epoch_us({0}))", value), label)
        case _ if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            term = Term(Kind.TIME, combine("CAST({0} AS TIMESTAMP)", value), label)
        case _ if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
            term = _list(value, kind.value_type, name)
        case _:
            raise WhereError(f"{label} has the type {kind}, which expressions cannot use")
    return term


def _list(value: Condition, members: pa.DataType, name: str) -> Term:
    member = _term(Condition("x", ()), members, name)
    types: dict[Any, str] = {Kind.NUMBER: "DOUBLE", Kind.TEXT: "VARCHAR", Kind.TRUTH: "BOOLEAN"}
    if member.kind not in types:
        raise WhereError(f"{_label(name)} is a list of {members}, which expressions cannot use")
    cast = combine(f"CAST({{0}} AS {types[member.kind]}[])", value)
    return Term(Kind.LIST, cast, _label(name), members=member.kind)
