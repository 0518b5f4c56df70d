"""Areas that come up by DoPut."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.flight as fl

from rasterflight_protocol import ErrorCode
from rasterflight_protocol.v1.plan_pb2 import Upload as Answer
from rasterflight_server.errors import RequestError
from rasterflight_server.plan.uploads import Uploads

#: Where areas are put.
PATH = "areas"
_COLUMN = "geometry"
_WKB = ("geoarrow.wkb", "ogc.wkb")


def receive_areas(
    uploads: Uploads, caller: str, descriptor: fl.FlightDescriptor, reader: fl.MetadataRecordBatchReader
) -> Answer:
    """Take areas in, batch by batch.

    Raises
    ------
    RequestError
        BAD_REQUEST: another path or another schema, or what comes is no Arrow stream; and as ``Arrival``.
    """
    _check_path(descriptor)
    with uploads.receive(caller) as arrival:
        for values in _columns(reader):
            arrival.add(values)
        upload = arrival.keep()
    answer = Answer(id=upload.id, areas=upload.areas)
    answer.expires.FromDatetime(datetime.now(UTC) + timedelta(seconds=uploads.limits.seconds))
    return answer


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
    """The column of each batch; what a caller sent is not believed before it was checked."""
    try:
        _check_schema(reader.schema)
        for chunk in reader:
            if chunk.data is None:
                continue
            # Offsets may lead anywhere.
            chunk.data.validate(full=True)
            column = chunk.data.column(0)
            yield column.storage if isinstance(column, pa.ExtensionArray) else column
    except fl.FlightError:
        raise  # the connection broke, or the caller gave up
    except pa.ArrowException as error:
        raise RequestError(
            ErrorCode.BAD_REQUEST, "the stream cannot be read as Arrow", field=_COLUMN, hint=str(error).splitlines()[0]
        ) from None


def _check_schema(schema: pa.Schema) -> None:
    if schema.names != [_COLUMN]:
        raise _bad_schema(f"the columns are {', '.join(map(repr, schema.names[:10])) or 'none'}")
    field = schema.field(0)
    type_, name = field.type, (field.metadata or {}).get(b"ARROW:extension:name", b"").decode(errors="replace")
    if isinstance(type_, pa.BaseExtensionType):
        type_, name = type_.storage_type, type_.extension_name
    if type_ not in (pa.binary(), pa.large_binary()) or (name and name not in _WKB):
        raise _bad_schema(f"the column {_COLUMN!r} is {name or field.type}")


def _bad_schema(what: str) -> RequestError:
    return RequestError(
        ErrorCode.BAD_REQUEST,
        what[:500],
        field=_COLUMN,
        hint=f"send one column {_COLUMN!r} of WKB: binary, large_binary or geoarrow.wkb",
    )
