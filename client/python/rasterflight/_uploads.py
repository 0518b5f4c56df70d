"""Areas that are too many for a ticket: sent up before the request, and dropped after it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final

import numpy as np
import pyarrow as pa

from rasterflight._connection import Connection
from rasterflight._deadline import Deadline
from rasterflight.errors import BusyError, RasterflightError, UploadNotFoundError
from rasterflight_protocol.schemas import areas_schema
from rasterflight_protocol.v1.read_pb2 import BBox, Geometries, ReadRequest

#: Areas that take more bytes than this go up before. Much less, and the calls for it take longer than they save; much
#: more, and what is between client and server may refuse the message (4 MiB is what gRPC lets pass by default).
TICKET_BYTES: Final = 1 << 20
#: How long a server may take to drop an upload before it is left to forget it by itself.
_DROP_SECONDS: Final = 5.0
_BATCH_BYTES: Final = 4 << 20
# a box as ISO WKB: one ring of five points
_BOX_WKB: Final = np.dtype(
    [("order", "u1"), ("kind", "<u4"), ("rings", "<u4"), ("points", "<u4"), ("ring", "<f8", (5, 2))]
)
_POLYGON: Final = 3


class SentRequest:
    """A request as it goes to the server: its large sets of areas are replaced by uploads.

    Parameters
    ----------
    connection
        To the server.
    request
        Is not changed.
    deadline
        Of all calls.

    Raises
    ------
    RasterflightError
        The server does not take the areas; the error names the field of the request that they stand in.
    """

    def __init__(self, connection: Connection, request: ReadRequest, deadline: Deadline) -> None:
        self._connection = connection
        self._ids: list[str] = []
        large = [(field, areas) for field, areas in _areas_of(request) if _goes_up(areas)]
        if not large:
            self.message = request
            return
        self.message = ReadRequest()
        self.message.CopyFrom(request)
        fields = dict(_areas_of(self.message))
        try:
            for field, areas in large:
                with _about(field):
                    answer = connection.put_areas(partial(_stream, _wkb(areas)), deadline)
                self._ids.append(answer.id)
                fields[field].upload = answer.id
        except BusyError:
            pass  # there is no room to keep them: these go with the ticket
        except BaseException:
            self.drop()
            raise

    @property
    def has_uploads(self) -> bool:
        """Some areas went up."""
        return bool(self._ids)

    def drop(self) -> None:
        """Let the server forget what went up; one that cannot be reached forgets it by itself."""
        while self._ids:
            with suppress(RasterflightError):
                list(self._connection.action("upload.drop", self._ids.pop().encode(), _DROP_SECONDS))


def not_found(error: BaseException, sent: SentRequest) -> bool:
    """Whether a server does not know what was sent up to it: it was started anew, or is one of several."""
    return isinstance(error, UploadNotFoundError) and sent.has_uploads


@contextmanager
def _about(field: str) -> Iterator[None]:
    """Let errors name the field of the request, not the column of the upload."""
    try:
        yield
    except RasterflightError as error:
        error.field = field
        raise


def _areas_of(request: ReadRequest) -> Iterator[tuple[str, Geometries]]:
    """All areas of a request, by the name of their field."""
    if request.WhichOneof("where") == "geometries":
        yield "geometries", request.geometries
    for number, part in enumerate(request.filters):
        if part.HasField("geometries"):
            yield f"filters[{number}].geometries", part.geometries


def _goes_up(areas: Geometries) -> bool:
    if areas.ByteSize() <= TICKET_BYTES or areas.WhichOneof("source") == "upload":
        return False
    # across the antimeridian a box is no polygon: what it is, the server knows
    return all(box.minx <= box.maxx for box in areas.bboxes.values)


def _wkb(areas: Geometries) -> pa.Array:
    if areas.WhichOneof("source") == "bboxes":
        return _boxes(areas.bboxes.values)
    values = np.empty(len(areas.wkb.values), object)
    values[:] = areas.wkb.values
    return pa.array(values, pa.binary())


def _boxes(boxes: Sequence[BBox]) -> pa.Array:
    """Boxes as polygons, corner by corner as ``shapely.box`` has them."""
    minx, miny, maxx, maxy = np.array([(box.minx, box.miny, box.maxx, box.maxy) for box in boxes]).T
    wkb = np.zeros(len(boxes), _BOX_WKB)
    wkb["order"], wkb["kind"], wkb["rings"], wkb["points"] = 1, _POLYGON, 1, 5
    wkb["ring"][:, :, 0] = np.stack([maxx, maxx, minx, minx, maxx], axis=1)
    wkb["ring"][:, :, 1] = np.stack([miny, maxy, maxy, miny, miny], axis=1)
    offsets = np.arange(len(boxes) + 1, dtype=np.int32) * wkb.itemsize
    return pa.Array.from_buffers(pa.binary(), len(boxes), [None, pa.py_buffer(offsets), pa.py_buffer(wkb)])


def _stream(values: pa.Array) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    schema = areas_schema(len(values))
    rows = max(1, len(values) * _BATCH_BYTES // max(values.nbytes, 1))
    starts = range(0, len(values), rows)
    return schema, (pa.record_batch([values.slice(start, rows)], schema=schema) for start in starts)
