"""From the text of a statement to what can be run: checked, with its tables found and its reads planned."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from rasterflight_protocol import ErrorCode
from rasterflight_protocol.v1.read_pb2 import Filter
from rasterflight_server.errors import RequestError
from rasterflight_server.sql import wire
from rasterflight_server.sql.engine import Engine, Patience
from rasterflight_server.sql.functions import FUNCTIONS, check_arguments, make_request
from rasterflight_server.sql.parameters import argument_types, bound, names_of, schema_of, used_types
from rasterflight_server.sql.reads import Reads
from rasterflight_server.sql.refusals import bad_statement
from rasterflight_server.sql.sources import ReadSource, Source
from rasterflight_server.sql.statement import Statement
from rasterflight_server.sql.tables import Tables
from rasterflight_server.sql.tree import Node, Rewriting, is_constant, nodes, parameters_of, read_tree, selecting
from rasterflight_server.telemetry import Meter
from rasterflight_server.types.caller import Caller

#: Begins the names of sources: no name that people give.
_SOURCE: Final = "rasterflight:"


class UnknownReadError(RequestError):
    """What a statement reads depends on parameters that have no values yet."""

    def __init__(self, function: str, argument: str) -> None:
        super().__init__(
            ErrorCode.BAD_REQUEST,
            f"{function}: {argument}: the parameter has no value yet",
            field=argument,
            hint="bind parameters before the statement is run",
        )


class Compiler:
    """Makes one statement for a caller.

    Parameters
    ----------
    reads
        The service.
    caller
        For whom.
    engine
        Parses, and says what constant expressions are.
    patience
        How long all of it may take.
    meter
        Counts what the statement reads when it runs.
    """

    def __init__(
        self, reads: Reads, caller: Caller, engine: Engine, patience: Patience, meter: Meter | None = None
    ) -> None:
        self._meter = meter
        self._reads = reads
        self._caller = caller
        self._engine = engine
        self._patience = patience
        self._tables = Tables(reads, caller)
        self._sources: dict[str, Source] = {}
        self._values: Mapping[str, pa.Array] | None = None
        #: What a client is told of the parameters.
        self.parameters: pa.Schema = pa.schema([])

    def compile(self, query: str, values: pa.RecordBatch | None) -> Statement:
        """Make the statement.

        Parameters
        ----------
        values
            Of its parameters, one row; None: they are not known yet. The statement can then tell its schema, but not be run.

        Raises
        ------
        RequestError
            The statement cannot be answered, or what it reads cannot be read.
        """
        tree = read_tree(self._engine.ask(self._patience, "parse", query.encode())[1])
        names = names_of(tree)
        if values is not None:
            self._values = bound(names, values)
        elif not names:
            self._values = {}
        types = argument_types(tree)
        self.parameters = schema_of(names, types)
        Rewriting(self._find_table, self._find_read).rewrite(tree)
        types = used_types(tree, [source.schema for source in self._sources.values()]) | types
        self.parameters = schema_of(names, types)
        known = self._values or {name: pa.nulls(1, self.parameters.field(name).type) for name in names}
        left = parameters_of(tree)
        try:
            text = json.dumps(tree).encode()
        except RecursionError:
            raise bad_statement("the statement is nested too deeply") from None
        return Statement(text, {name: value for name, value in known.items() if name in left}, self._sources)

    def _find_table(self, path: Sequence[str]) -> str:
        return self._add(self._tables.find(path))

    def _find_read(self, function: str, arguments: Sequence[Node]) -> str | None:
        if function not in FUNCTIONS:
            return None
        given = _named(function, arguments)
        unknown = {name for name, node in given.items() if self._values is None and parameters_of(node)}
        known = self._evaluate({name: node for name, node in given.items() if name not in unknown})
        return self._add(self._read(function, known, unknown))

    def _add(self, source: Source) -> str:
        name = f"{_SOURCE}{len(self._sources)}"
        self._sources[name] = source
        return name

    def _evaluate(self, given: Mapping[str, Node]) -> dict[str, Any]:
        """Values of constant expressions."""
        if not given:
            return {}
        expressions = list(given.values())
        wanted = parameters_of(expressions)
        values = {name: value for name, value in (self._values or {}).items() if name in wanted}
        parts = [json.dumps(selecting(expressions)).encode(), wire.pack_row(values).to_pybytes()]
        _, payload = self._engine.ask(self._patience, "evaluate", b"".join(parts), sizes=list(map(len, parts)))
        return dict(zip(given, wire.unpack_row(payload).values(), strict=True))

    def _read(self, function: str, known: Mapping[str, Any], unknown: set[str]) -> ReadSource:
        """What a function reads; where arguments are not known yet, something with the same columns."""
        for argument in unknown.intersection(("collection", "bands")):
            raise UnknownReadError(function, argument)
        if "points" in unknown:
            known = {**known, "points": [[0.0, 0.0]]}
        message = make_request(function, known, self._tables.bands)
        if unknown:
            message.ClearField("geometries")
            del message.filters[:]
            message.filters.append(Filter(ids=self._tables.some_ids(message.collection)))
        return ReadSource(self._reads, self._caller, message, self._meter)


def _named(function: str, arguments: Sequence[Node]) -> dict[str, Node]:
    """Arguments by name; the first may do without."""
    named = {}
    names = []
    for number, argument in enumerate(arguments):
        name = str(argument.get("name", "")).casefold()
        if not name and number:
            raise bad_statement(
                f"argument {number + 1} of {function} has no name", hint=f"name it: {function}('s2', bands := ['B04'])"
            )
        node = argument["expression"]
        if not is_constant(node):
            raise bad_statement(
                f"{function}: {name or 'collection'}: it depends on rows",
                position=node.get("query_location"),
                hint="arguments are constant expressions or parameters; texts stand in single quotes",
            )
        for part in nodes(node):
            # Arrow has no names for the parts of (1, 2), and to us it is a list.
            if part.get("function_name") == "row":
                part["function_name"], part["qualified_name"] = "list_value", {"path": ["list_value"]}
        names.append(name or "collection")
        named[names[-1]] = node
    check_arguments(function, names)
    return named
