"""Points that stream in, and their values that stream out: one record batch of points is answered before the next is taken."""

from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.flight as fl

from rasterflight_protocol import ErrorCode
from rasterflight_protocol.v1.plan_pb2 import Progress
from rasterflight_server.catalog import Collection
from rasterflight_server.encode.pointstream import PointsStream
from rasterflight_server.errors import RequestError
from rasterflight_server.flight.admission import Place
from rasterflight_server.flight.arriving import arriving
from rasterflight_server.flight.running import Terms
from rasterflight_server.flight.service import Service
from rasterflight_server.plan.points import Points, check_bands
from rasterflight_server.plan.request import Request
from rasterflight_server.plan.start import Start
from rasterflight_server.telemetry import Meter


class PointsExchange:
    """An exchange of points for values.

    Parameters
    ----------
    service
        Who answers.
    collection, request
        What is asked for; the points of the request have no coordinates.
    place
        Of the stream of answers.
    meter
        Counts what is read.

    Raises
    ------
    RequestError
        The request is not one for the points layout, or has coordinates; a band or filter does not fit the collection.
    """

    def __init__(self, service: Service, collection: Collection, request: Request, place: Place, meter: Meter) -> None:
        if request.points is None:
            raise RequestError(
                ErrorCode.BAD_REQUEST,
                "an exchange takes points, and the request is not for the points layout",
                field="layout",
                hint="use DoGet, or ask for LAYOUT_POINTS",
            )
        if len(request.points):
            raise RequestError(
                ErrorCode.BAD_REQUEST,
                "the points have coordinates in the request already",
                field="points",
                hint="send them as record batches, or use DoGet",
            )
        self._service = service
        self._collection = collection
        self._request = request
        self._place = place
        self._meter = meter
        self._points: Points = request.points
        #: Of the batches that come out.
        self.schema: pa.Schema = service.points(collection, request, place).schema

    def batches(self, reader: fl.MetadataRecordBatchReader, terms: Terms) -> Generator[tuple[pa.RecordBatch, Progress]]:
        """Answer batch after batch.

        Parameters
        ----------
        reader
            Batches with the columns x and y.
        terms
            For how long this may go on.
        """
        start = self._request.start
        for batch in _incoming(reader, terms):
            x, y = _coordinates(batch, "x"), _coordinates(batch, "y")
            points = Points(x, y, self._points.crs, self._points.sampling, start.points)
            check_bands(points, len(self._request.bands))
            progress = Progress(bytes_done=start.nbytes)
            for answer, progress in self._stream(points, start).batches(terms.check):
                yield answer, progress
            start = Start(points=start.points + len(points), nbytes=progress.bytes_done)

    def _stream(self, points: Points, start: Start) -> PointsStream:
        request = replace(self._request, points=points, start=start)
        return self._service.points(self._collection, request, self._place, self._meter)


def _incoming(reader: fl.MetadataRecordBatchReader, terms: Terms) -> Iterator[pa.RecordBatch]:
    terms.check()
    for batch in arriving(reader, "points", terms.idle):
        yield batch
        terms.check()


def _coordinates(batch: pa.RecordBatch, name: str) -> npt.NDArray[np.float64]:
    index = batch.schema.get_all_field_indices(name)
    what = "there are several" if len(index) > 1 else "it is missing"
    if len(index) == 1:
        column: Any = batch.column(index[0])
        if pa.types.is_float64(column.type) and not column.null_count:
            return np.asarray(column.to_numpy())
        what = "it has nulls" if column.null_count else f"it is {column.type}"
    raise RequestError(
        ErrorCode.BAD_REQUEST,
        f"the points have no usable column {name!r}: {what}",
        field=f"points.{name}",
        hint="send x and y as float64 without nulls",
    )
