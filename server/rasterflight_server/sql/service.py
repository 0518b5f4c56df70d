"""Flight SQL, free of Flight: commands in, schemas and rows out; nothing is kept from one call to the next."""

from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any, Final, NamedTuple

import pyarrow as pa
from google.protobuf.message import Message

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.settings import SqlSettings
from rasterflight_server.sql import messages
from rasterflight_server.sql.compiling import Compiler, UnknownReadError
from rasterflight_server.sql.engine import Engines
from rasterflight_server.sql.handles import Handle, only_row, unpack_handle
from rasterflight_server.sql.metadata import metadata
from rasterflight_server.sql.reads import Check, Reads
from rasterflight_server.sql.refusals import bad_statement
from rasterflight_server.sql.tables import Tables
from rasterflight_server.telemetry import Meter
from rasterflight_server.types.caller import Caller

_STATEMENT: Final = "CommandStatementQuery"
_TICKET: Final = "TicketStatementQuery"
_PREPARED: Final = "CommandPreparedStatementQuery"
#: The actions of Flight SQL, and of sessions.
ACTIONS: Final = {
    "CreatePreparedStatement": "prepare a statement of Flight SQL",
    "ClosePreparedStatement": "forget a prepared statement",
    "CancelFlightInfo": "not possible: cancel the stream of the statement instead",
    "CancelQuery": "not possible: cancel the stream of the statement instead",
    "CloseSession": "end a session; nothing is kept of any",
    "GetSessionOptions": "options of the session: there are none",
    "SetSessionOptions": "refuses each option by its name",
}


class Planned(NamedTuple):
    """What a command will give."""

    schema: pa.Schema
    ticket: bytes


class Rows(NamedTuple):
    """What a ticket gives; as long as nothing is taken, nothing is held."""

    schema: pa.Schema
    batches: Generator[pa.RecordBatch]


class SqlService:
    """Answers Flight SQL.

    Parameters
    ----------
    reads
        Who reads, and what collections there are.
    settings
        What statements may take, in one process.
    """

    def __init__(self, reads: Reads, settings: SqlSettings) -> None:
        self._reads = reads
        self._enabled = settings.enabled
        self._engines = Engines(settings)

    def plan(self, command: bytes, caller: Caller, check: Check) -> Planned:
        """What a command will give, without giving it.

        Raises
        ------
        ServiceError
            The statement cannot be answered, or not now.
        """
        message, name = self._message(command)
        known = metadata(name, message, Tables(self._reads, caller))
        if known is not None:
            return Planned(known.schema, command)
        handle = _handle(name, message)
        ticket = command
        if name == _STATEMENT:
            ticket = messages.pack(messages.make(_TICKET, statement_handle=handle.pack()))
        return Planned(self._compiled(handle, caller, check)[0], ticket)

    def rows(self, ticket: bytes, caller: Caller, check: Check, meter: Meter | None = None) -> Rows:
        """The rows that a ticket gives, ``meter`` counts what is read for them; raises as ``plan``."""
        message, name = self._message(ticket)
        known = metadata(name, message, Tables(self._reads, caller))
        if known is not None:
            return Rows(known.schema, _batches(known))
        handle = _handle(name, message)
        patience = self._engines.patience(check)
        with self._engines.engine(patience) as engine:
            compiler = Compiler(self._reads, caller, engine, patience, meter)
            statement = compiler.compile(handle.query, handle.values)
            if handle.values is None and len(compiler.parameters):
                raise bad_statement("the parameters have no values", hint="bind them before the statement is run")
            schema = statement.schema(engine, patience)

        def batches() -> Generator[pa.RecordBatch]:
            with self._engines.engine(patience) as engine:
                yield from statement.run(engine, schema, patience)

        return Rows(schema, batches())

    def bind(self, command: bytes, values: Iterable[pa.RecordBatch]) -> bytes:
        """Bind parameters: the answer names the statement with its values.

        Raises
        ------
        RequestError
            BAD_REQUEST: the command is no prepared query, since this service is read-only; or the values are not one row.
        """
        message, name = self._message(command)
        if name != _PREPARED:
            raise bad_statement(f"{name} takes no rows", hint="this service is read-only")
        bound = _handle(name, message)._replace(values=only_row(values)).pack()
        return messages.make("DoPutPreparedStatementResult", prepared_statement_handle=bound).SerializeToString()

    def action(self, name: str, body: bytes, caller: Caller, check: Check) -> list[bytes]:
        """Run one of ``ACTIONS``; raises as ``plan``."""
        answers: Mapping[str, Callable[[], list[bytes]]] = {
            "CreatePreparedStatement": lambda: [self._prepare(body, caller, check)],
            "ClosePreparedStatement": list,
            "CancelFlightInfo": lambda: [_answer("CancelFlightInfoResult", status="CANCEL_STATUS_NOT_CANCELLABLE")],
            "CancelQuery": lambda: [
                messages.pack(messages.make("ActionCancelQueryResult", result="CANCEL_RESULT_NOT_CANCELLABLE"))
            ],
            "CloseSession": lambda: [_answer("CloseSessionResult", status="CLOSED")],
            "GetSessionOptions": lambda: [_answer("GetSessionOptionsResult")],
            "SetSessionOptions": lambda: [_refuse_options(body)],
        }
        return answers[name]()

    def _prepare(self, body: bytes, caller: Caller, check: Check) -> bytes:
        message: Any = self._message(body)[0]
        handle = Handle(message.query)
        packed = handle.pack()
        schema, parameters = self._compiled(handle, caller, check)
        result = messages.make(
            "ActionCreatePreparedStatementResult",
            prepared_statement_handle=packed,
            dataset_schema=schema.serialize().to_pybytes() if len(schema) else b"",
            parameter_schema=parameters.serialize().to_pybytes() if len(parameters) else b"",
            is_update=False,
        )
        return messages.pack(result)

    def _compiled(self, handle: Handle, caller: Caller, check: Check) -> tuple[pa.Schema, pa.Schema]:
        """Schemas of the result and of the parameters; the first is empty where it depends on values that are not bound."""
        patience = self._engines.patience(check)
        with self._engines.engine(patience) as engine:
            compiler = Compiler(self._reads, caller, engine, patience)
            try:
                statement = compiler.compile(handle.query, handle.values)
            except UnknownReadError:
                return pa.schema([]), compiler.parameters
            return statement.schema(engine, patience), compiler.parameters

    def _message(self, command: bytes) -> tuple[Message, str]:
        if not self._enabled:
            raise RequestError(
                ErrorCode.BAD_REQUEST,
                "this server does not answer SQL",
                field="sql.enabled",
                hint="its operator has turned it off; tickets are answered",
            )
        message = messages.unpack(command)
        return message, messages.name_of(message)


def _handle(name: str, message: Any) -> Handle:
    match name:
        case "CommandStatementQuery":
            return Handle(message.query)
        case "TicketStatementQuery":
            return unpack_handle(message.statement_handle)
        case "CommandPreparedStatementQuery":
            return unpack_handle(message.prepared_statement_handle)
    raise bad_statement(f"{name} gives no rows", hint="this service answers queries and questions about tables")


def _batches(table: pa.Table) -> Generator[pa.RecordBatch]:
    yield from table.to_batches()


def _answer(name: str, **fields: Any) -> bytes:
    return messages.make(name, **fields).SerializeToString()


def _refuse_options(body: bytes) -> bytes:
    asked = messages.read("SetSessionOptionsRequest", body)
    result: Any = messages.make("SetSessionOptionsResult")
    for name in asked.session_options:
        result.errors[name].value = 1  # INVALID_NAME
    return bytes(result.SerializeToString())
