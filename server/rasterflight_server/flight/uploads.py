"""Areas that come up by DoPut."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.flight as fl

from rasterflight_protocol import ErrorCode
from rasterflight_protocol.schemas import AREAS_KEY
from rasterflight_protocol.v1.plan_pb2 import Upload as Answer
from rasterflight_server.errors import RequestError, ServiceError
from rasterflight_server.flight.arriving import arriving, readable
from rasterflight_server.plan.uploads import Uploads
from rasterflight_server.types.caller import Caller

#: Where areas are put.
PATH = "areas"
_COLUMN = "geometry"
_WKB = ("geoarrow.wkb", "ogc.wkb")


def receive_areas(
    uploads: Uploads,
    descriptor: fl.FlightDescriptor,
    reader: fl.MetadataRecordBatchReader,
    writer: fl.FlightMetadataWriter,
    *,
    caller: Caller,
    account: str,
    check: Callable[[], None],
) -> None:
    """Take areas in, batch by batch, and answer with an ``Upload``.

    Parameters
    ----------
    account
        Under which name what he sends up is counted.
    check
        Called now and then; raises when the caller has gone.

    Raises
    ------
    ServiceError
        BAD_REQUEST: another path or another schema, or what comes is no Arrow stream. CANCELLED: the caller has gone. And as
        ``Arrival``.
    """
    _check_path(descriptor)
    with uploads.receive(caller.key, account) as arrival:
        for values in _columns(reader):
            check()
            arrival.add(values)
        # To the reader, a caller who goes away and one who is done look the same.
        check()
        _check_count(reader.schema, arrival.areas)
        upload = arrival.keep()
    answer = Answer(id=upload.id, areas=upload.areas)
    answer.expires.FromDatetime(datetime.now(UTC) + timedelta(seconds=uploads.limits.seconds))
    try:
        writer.write(answer.SerializeToString())
    except (fl.FlightError, OSError):
        uploads.drop(upload.id, upload.caller)
        raise ServiceError(ErrorCode.CANCELLED, "the caller has gone") from None


def _check_path(descriptor: fl.FlightDescriptor) -> None:
    is_path = descriptor.descriptor_type == fl.DescriptorType.PATH
    if is_path and [part.decode("utf-8", errors="replace") for part in descriptor.path] == [PATH]:
        return
    raise RequestError(
        ErrorCode.BAD_REQUEST,
        "nothing can be put there" if is_path else "a command says nothing about what is put",
        field="path",
        hint=f'areas are put to the path ["{PATH}"]',
    )


def _columns(reader: fl.MetadataRecordBatchReader) -> Iterator[pa.Array]:
    """The column of each batch."""
    with readable(_COLUMN):
        _check_schema(reader.schema)
    for batch in arriving(reader, _COLUMN):
        column = batch.column(0)
        yield column.storage if isinstance(column, pa.ExtensionArray) else column


def _check_schema(schema: pa.Schema) -> None:
    if schema.names != [_COLUMN]:
        raise _bad_schema(f"the columns are {', '.join(map(repr, schema.names[:10])) or 'none'}")
    field = schema.field(0)
    type_, name = field.type, (field.metadata or {}).get(b"ARROW:extension:name", b"").decode(errors="replace")
    if isinstance(type_, pa.BaseExtensionType):
        type_, name = type_.storage_type, type_.extension_name
    if type_ not in (pa.binary(), pa.large_binary()) or (name and name not in _WKB):
        raise _bad_schema(f"the column {_COLUMN!r} is {name or field.type}")


def _check_count(schema: pa.Schema, came: int) -> None:
    said = (schema.metadata or {}).get(AREAS_KEY, str(came).encode()).decode(errors="replace")
    if said != str(came):
        raise RequestError(
            ErrorCode.BAD_REQUEST,
            f"{came} areas came, and {said[:20]} were announced",
            field=_COLUMN,
            hint=f"send them again; the schema announces them by {AREAS_KEY.decode()}",
        )


def _bad_schema(what: str) -> RequestError:
    return RequestError(
        ErrorCode.BAD_REQUEST,
        what[:500],
        field=_COLUMN,
        hint=f"send one column {_COLUMN!r} of WKB: binary, large_binary or geoarrow.wkb",
    )
