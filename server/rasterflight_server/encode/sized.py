"""Streams whose batches are as large as memory allows when they begin."""

from collections.abc import Callable, Generator
from typing import Protocol

import pyarrow as pa

from rasterflight_protocol.v1.plan_pb2 import Progress
from rasterflight_server.encode.budget import StreamBudget
from rasterflight_server.plan.request import Request

Batches = Generator[tuple[pa.RecordBatch, Progress]]


class PixelStream(Protocol):
    """Record batches that answer a plan."""

    def batches(self, check: Callable[[], None]) -> Batches:
        """Read; ``check`` is called now and then, and raises when the caller has gone."""


class SizedStream:
    """A stream that is made when it begins.

    Parameters
    ----------
    schema
        Of its batches.
    request
        May say how large they are.
    total
        Bytes of all of them.
    budget
        Shared by all streams of the process.
    make
        Makes the stream, given the size of its batches.
    """

    def __init__(
        self, schema: pa.Schema, request: Request, total: int, budget: StreamBudget, make: Callable[[int], PixelStream]
    ) -> None:
        self.schema = schema
        self._request = request
        self._total = total
        self._budget = budget
        self._make = make

    def batches(self, check: Callable[[], None]) -> Batches:
        """Read; closing the iterator at any point frees everything.

        Parameters
        ----------
        check
            Called now and then; raises when the caller has gone.

        Raises
        ------
        ServiceError
            BUSY: there is no room for batches of the size that the request states.
        """
        request = self._request
        with self._budget.sending(request.batch_bytes, self._total, exactly=request.states_batch_bytes) as size:
            yield from self._make(size).batches(check)
