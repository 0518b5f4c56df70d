"""A read as a table that queries scan: as often as they like, and only the columns, records and areas that they need."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import pyarrow as pa

from rasterflight._commongrid import common_grid, warn_of_crs
from rasterflight._connection import Connection, schema_of
from rasterflight._opening import open_stream, plan
from rasterflight._predicates import Kind, Path, Predicate, Property, numbers_where, records_where
from rasterflight._tickets import pinned
from rasterflight.errors import NoDataFound
from rasterflight_protocol.v1.read_pb2 import LAYOUT_RECORDS, ON_ERROR_SKIP, Filter, ReadRequest

_CLOUD_COVER: Final = "eo:cloud_cover"
#: More are not sent with each request: the rest of the areas is sorted out here.
_MAX_NUMBERS: Final = 10_000
#: What tells of records that could not be read.
_TOLD: Final = ("record_id", "error")


class Scan:
    """Rows of a read.

    Parameters
    ----------
    connection
        To the server.
    request
        All of it.
    records
        Schema of the records of the collection.
    owner
        Kept as long as this.
    timeout
        Seconds that each scan may take; None: that of the connection.

    Raises
    ------
    NoDataFound
        No record matches (a ValueError); not of records.
    RasterflightError
        Whatever else the server has to say against the request.
    """

    def __init__(
        self,
        connection: Connection,
        request: ReadRequest,
        *,
        records: pa.Schema,
        owner: object,
        timeout: float | None,
    ) -> None:
        self._connection = connection
        areas = request.geometries
        self._places = len(areas.bboxes.values) + len(areas.wkb.values) + len(request.windows.values)
        self._owner = owner
        self._timeout = timeout
        #: With all columns.
        self.schema: pa.Schema = schema_of(plan(connection, request, timeout, keep=False), connection.url)
        self._request = ReadRequest()
        self._request.CopyFrom(request)
        # The grid must not depend on which records a query is about.
        self._request.grid.CopyFrom(pinned(request.grid, common_grid(self.schema)))
        self._properties = _properties(request, records)
        warn_of_crs(self.schema, request.grid, stacklevel=5)

    def part(self, columns: Sequence[str] | None) -> pa.Schema:
        """The schema of some columns; None: of all."""
        if columns is None:
            return self.schema
        return pa.schema([self.schema.field(name) for name in columns], metadata=self.schema.metadata)

    def read(self, columns: Sequence[str] | None, predicate: Predicate) -> Iterator[pa.RecordBatch]:
        """Read rows; the server is told to stop when the iterator is closed.

        Parameters
        ----------
        columns
            Names; None: all.
        predicate
            Rows for which it is not true may be left out, and may not.
        """
        request, schema = self._narrowed(predicate), self.part(columns)
        if request is None:
            return
        if columns is not None:
            told = _TOLD if request.on_error == ON_ERROR_SKIP else ()
            request.columns.extend([*schema.names, *(name for name in told if name not in schema.names)])
        try:
            stream = open_stream(self._connection, request, self._timeout, None, self._owner)
        except NoDataFound:
            # of all records there was some
            return
        with stream:
            for batch in stream:
                yield _as(batch, schema)

    def _narrowed(self, predicate: Predicate) -> ReadRequest | None:
        """Ask for what may have rows for which a condition is true; None: nothing may."""
        request = ReadRequest()
        request.CopyFrom(self._request)
        if where := records_where(predicate, self._properties):
            request.filters.append(Filter(where=where))
        if self._places:
            numbers = numbers_where(predicate, "geometry_id", self._places)
            if numbers is not None and not numbers:
                return None
            if numbers is not None and len(numbers) <= _MAX_NUMBERS:
                request.geometry_ids.extend(numbers)
        return request


def _properties(request: ReadRequest, records: pa.Schema) -> dict[Path, Property]:
    """Which columns of a layout tell of records, and what they are called there."""
    known = {field.name: kind for field in records if (kind := Kind.of(field.type)) is not None}
    if request.layout == LAYOUT_RECORDS:
        # A name with a dot may be taken for a way into a struct.
        found: dict[Path, Property] = {(name,): Property(name, kind) for name, kind in known.items() if "." not in name}
        for side in ("xmin", "ymin", "xmax", "ymax"):
            found["bbox", side] = Property(f"bbox.{side}", Kind.NUMBER)
        return found
    renamed = {"record_id": "id", "datetime": "datetime", "cloud_cover": _CLOUD_COVER}
    kinds = {name: known.get(of_record) for name, of_record in renamed.items()}
    if kinds["cloud_cover"] not in (Kind.WHOLE, Kind.NUMBER):
        kinds["cloud_cover"] = None
    return {(name,): Property(renamed[name], kind) for name, kind in kinds.items() if kind is not None}


def _as(batch: Any, schema: pa.Schema) -> pa.RecordBatch:
    """Bring a batch into the schema of its table: facts of single records do not count."""
    arrays = [batch.column(field.name) for field in schema]
    arrays = [
        one if one.type == field.type else one.cast(field.type) for one, field in zip(arrays, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
