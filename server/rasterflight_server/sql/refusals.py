"""Errors of DuckDB in words of our own: without paths, and with what they are about."""

import re
from typing import Final

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError, ServiceError

_OUT_OF_MEMORY: Final = frozenset(["OutOfMemoryException", "MemoryError", "ArrowMemoryError"])
_BUGS: Final = frozenset(["InternalException", "FatalException"])
#: DuckDB shows the statement as it was rewritten, and gives advice about settings that callers do not have.
_TAIL: Final = re.compile(r"\s+(LINE \d+:|Possible solutions|This limit was set|Stack Trace|Use \"SET ).*", re.DOTALL)
_PATH: Final = re.compile(r"(?:[A-Za-z]:)?(?:/[\w.@~+-]+){2,}")
_SHOWN: Final = 1000


def bad_statement(message: str, *, hint: str = "", position: int | None = None) -> RequestError:
    """A statement that cannot be answered; the position counts its characters from 0."""
    where = "" if position is None else f" (at character {position + 1})"
    return RequestError(ErrorCode.BAD_REQUEST, f"{message}{where}", field="query", hint=hint)


def cleaned(message: str) -> str:
    """A message of DuckDB without what is about the server."""
    return " ".join(_PATH.sub("...", _TAIL.sub("", message)).split())[:_SHOWN]


def engine_error(kind: str, message: str, memory: int, position: int | None = None) -> ServiceError:
    """What a caller is told of an error of DuckDB."""
    if kind == "RowTooLarge":
        return RequestError(
            ErrorCode.LIMIT_EXCEEDED,
            message,
            field="query",
            hint="unnest the lists of the result, or return fewer of them",
        )
    if kind in _OUT_OF_MEMORY:
        return too_much_memory(memory)
    if kind in _BUGS:
        return ServiceError(ErrorCode.INTERNAL, "DuckDB failed on the statement", hint="write it in another way")
    return bad_statement(cleaned(message), position=position)


def too_much_memory(memory: int) -> ServiceError:
    """A statement that does not fit, or whose engine was ended by that."""
    return RequestError(
        ErrorCode.LIMIT_EXCEEDED,
        f"the statement takes more memory than the {memory >> 20} MiB that one may",
        field="sql.memory",
        hint="aggregate sooner, sort and join less, or ask for fewer records, bands and areas",
    )
