"""The columns that a request asks for."""

import difflib
from collections.abc import Sequence

import pyarrow as pa

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError


def projected(schema: pa.Schema, columns: Sequence[str]) -> pa.Schema:
    """Keep some columns of a layout, in the order asked for; none named: all.

    Raises
    ------
    RequestError
        BAD_REQUEST: there is no such column, or it is named twice.
    """
    for number, name in enumerate(columns):
        if name not in schema.names:
            near = difflib.get_close_matches(name, schema.names, n=1)
            raise RequestError(
                ErrorCode.BAD_REQUEST,
                f"the layout has no column {name[:100]!r}",
                field=f"columns[{number}]",
                hint=f"did you mean {near[0]!r}?" if near else f"its columns are: {', '.join(schema.names)}",
            )
        if name in columns[:number]:
            raise RequestError(
                ErrorCode.BAD_REQUEST,
                f"columns: {name!r} is named twice",
                field=f"columns[{number}]",
                hint="name each column once",
            )
    return pa.schema([schema.field(name) for name in columns], metadata=schema.metadata) if columns else schema
