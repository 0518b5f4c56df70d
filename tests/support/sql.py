"""Statements over Flight SQL, through the ADBC driver as its users have it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import adbc_driver_flightsql.dbapi as flight_sql
import pyarrow as pa
from adbc_driver_manager import Error

from rasterflight_protocol.v1.error_pb2 import ErrorDetail


@contextmanager
def connected(url: str, **options: str) -> Iterator[Any]:
    with flight_sql.connect(url, db_kwargs=options, autocommit=True) as connection:
        yield connection


def query(connection: Any, sql: str, parameters: Sequence[Any] | None = None) -> pa.Table:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetch_arrow_table()


def rows(connection: Any, sql: str, parameters: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
    found = query(connection, sql, parameters)
    return list(zip(*(column.to_pylist() for column in found.columns), strict=True))


def refusal(connection: Any, sql: str, parameters: Sequence[Any] | None = None) -> ErrorDetail:
    """What a user is told of a statement that is not answered."""
    try:
        query(connection, sql, parameters)
    except Error as error:
        return detail(error)
    raise AssertionError(f"answered: {sql}")


def detail(error: Error) -> ErrorDetail:
    told = {_text(key): value for key, value in error.details}
    assert "Traceback" not in str(error)
    return ErrorDetail.FromString(told["rasterflight-error-bin"])


def _text(key: str | bytes) -> str:
    return key.decode() if isinstance(key, bytes) else key
