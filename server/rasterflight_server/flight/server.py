"""The Flight server: RPCs in, streams out."""

from collections.abc import Generator, Iterator
from contextlib import closing

import pyarrow as pa
import pyarrow.flight as fl

from rasterflight_protocol import ErrorCode
from rasterflight_protocol.v1.plan_pb2 import Progress
from rasterflight_server.catalog import Collection
from rasterflight_server.encode.records import RecordsStream
from rasterflight_server.errors import RequestError
from rasterflight_server.flight.actions import ACTIONS, actions_of, run_action
from rasterflight_server.flight.boundary import guard, without_traceback
from rasterflight_server.flight.calls import CallFactory, account, caller, offer, request_id
from rasterflight_server.flight.entrance import Entrance
from rasterflight_server.flight.exchange import PointsExchange
from rasterflight_server.flight.handover import Handover
from rasterflight_server.flight.identity.peers import told_peer
from rasterflight_server.flight.infos import collection_info, read_info, sql_info
from rasterflight_server.flight.observe.observer import Observer
from rasterflight_server.flight.observe.tally import tally_of
from rasterflight_server.flight.running import Terms
from rasterflight_server.flight.service import Service, is_records
from rasterflight_server.flight.uploads import receive_areas
from rasterflight_server.plan.request import Request
from rasterflight_server.sql.messages import is_sql
from rasterflight_server.sql.service import ACTIONS as SQL_ACTIONS


class FlightServer(fl.FlightServerBase):
    """Serves collections over Arrow Flight.

    Parameters
    ----------
    service
        What to serve.
    entrance
        Where, and to whom.
    observer
        Told of each call.
    """

    def __init__(self, service: Service, entrance: Entrance, observer: Observer) -> None:
        self.service = service
        self._life = service.life
        calls = CallFactory(entrance.gate, service.life, observer)
        with entrance.listen.for_arrow() as location:
            super().__init__(location, middleware={CallFactory.NAME: calls}, **entrance.arguments())

    def list_flights(self, context: fl.ServerCallContext, criteria: bytes) -> Iterator[fl.FlightInfo]:  # noqa: ARG002
        """All collections, as flights of their records."""
        with guard(context, request_id(context)):
            infos = [collection_info(collection) for collection in self.service.readable(caller(context)).values()]
        return iter(infos)

    def get_flight_info(self, context: fl.ServerCallContext, descriptor: fl.FlightDescriptor) -> fl.FlightInfo:
        """Plan a read (command: a ticket), or describe a collection (path: its name)."""
        with guard(context, request_id(context)), self._life.running():
            who = caller(context)
            if descriptor.descriptor_type == fl.DescriptorType.PATH:
                described = self.service.collection(_collection_name(descriptor), who)
                tally_of(context).collection = described.name
                return collection_info(described)
            terms = self.service.streams.terms(context)
            if is_sql(descriptor.command):
                return sql_info(self.service.sql.plan(descriptor.command, who, terms.check), descriptor)
            request, collection = self._asked(context, descriptor.command, terms)
            info = read_info(self.service, collection, request, descriptor)
            tally_of(context).planned()
            return info

    def get_schema(self, context: fl.ServerCallContext, descriptor: fl.FlightDescriptor) -> fl.SchemaResult:
        """The schema alone of what ``get_flight_info`` describes."""
        try:
            return fl.SchemaResult(self.get_flight_info(context, descriptor).schema)
        except fl.FlightError as error:
            raise without_traceback(error) from None

    def do_get(self, context: fl.ServerCallContext, ticket: fl.Ticket) -> fl.FlightDataStream:
        """Stream the rows that a ticket asks for."""
        call = request_id(context)
        with guard(context, call), self._life.running():
            if is_sql(ticket.ticket):
                return self._sql_rows(context, ticket)
            terms = self.service.streams.terms(context)
            request, collection = self._asked(context, ticket.ticket, terms)
            tally = tally_of(context)
            with tally.waiting():
                entered = self.service.streams.enter(context, request, terms)
            with entered as running:
                stream = (
                    RecordsStream(collection, request)
                    if is_records(request)
                    else self.service.pixels(collection, request, running.place, tally)
                )
                batches = stream.batches(terms.check)
                running.of(self._send(context, call, batches, terms, _handover(context, request)))
                tally.planned()
                tally.streams()
                return fl.GeneratorStream(stream.schema, running, options=_writing(request))

    def do_action(self, context: fl.ServerCallContext, action: fl.Action) -> Iterator[bytes]:
        """Run an action; see ``list_actions``."""
        with guard(context, request_id(context)):
            tally_of(context).action = action.type if action.type in (*ACTIONS, *SQL_ACTIONS) else ""
            if action.type in SQL_ACTIONS:
                body, who = action.body.to_pybytes(), caller(context)
                return iter(self.service.sql.action(action.type, body, who, self.service.streams.terms(context).check))
            return iter([run_action(self.service, action.type, action.body.to_pybytes(), caller(context))])

    def list_actions(self, context: fl.ServerCallContext) -> list[tuple[str, str]]:
        """The actions that the caller may run."""
        with guard(context, request_id(context)):
            mine = [(name, ACTIONS[name][0]) for name in actions_of(caller(context))]
            return [*mine, *SQL_ACTIONS.items()]

    def do_put(
        self,
        context: fl.ServerCallContext,
        descriptor: fl.FlightDescriptor,
        reader: fl.MetadataRecordBatchReader,
        writer: fl.FlightMetadataWriter,
    ) -> None:
        """Take areas in for requests to come, see ``rasterflight.v1.Upload``; or values of a prepared statement's parameters."""
        with guard(context, request_id(context)), self._life.running():
            caller(context)
            if is_sql(descriptor.command):
                sent = (chunk.data for chunk in reader if chunk.data is not None)
                writer.write(self.service.sql.bind(descriptor.command, sent))
                return
            receive_areas(
                self.service.uploads,
                descriptor,
                reader,
                writer,
                caller=caller(context),
                account=account(context),
                check=self.service.streams.terms(context, sends=True).check,
            )

    def do_exchange(
        self,
        context: fl.ServerCallContext,
        descriptor: fl.FlightDescriptor,
        reader: fl.MetadataRecordBatchReader,
        writer: fl.MetadataRecordBatchWriter,
    ) -> None:
        """Take points, and give values; see ``PointsExchange``."""
        call = request_id(context)
        with guard(context, call):
            terms = self.service.streams.terms(context)
            request, collection = self._asked(context, descriptor.command or b"", terms)
            tally = tally_of(context)
            with tally.waiting():
                entered = self.service.streams.enter(context, request, terms)
            with closing(entered) as running:
                exchange = PointsExchange(self.service, collection, request, running.place, tally)
                writer.begin(exchange.schema, options=_writing(request))
                batches = exchange.batches(reader, terms)
                sent = self._send(context, call, batches, terms, _handover(context, request))
                for batch, progress in running.of(sent):
                    writer.write_with_metadata(batch, progress)

    def _send(
        self,
        context: fl.ServerCallContext,
        call: str,
        batches: Generator[tuple[pa.RecordBatch, Progress]],
        terms: Terms,
        handover: Handover,
    ) -> Generator[tuple[pa.RecordBatch, pa.Buffer]]:
        tally = tally_of(context)
        with guard(context, call), self._life.running(), tally.streaming(), closing(batches), handover:
            for batch, progress in batches:
                terms.check()
                tally.sent(batch)
                batch = handover.give(batch, progress, terms)  # noqa: PLW2901
                yield batch, pa.py_buffer(progress.SerializeToString())
                del batch

    def _sql_rows(self, context: fl.ServerCallContext, ticket: fl.Ticket) -> fl.FlightDataStream:
        who, tally = caller(context), tally_of(context)
        tally.layout = "sql"
        terms = self.service.streams.terms(context)
        with tally.waiting():
            entered = self.service.streams.enter(context, None, terms)
        with entered as running:
            rows = self.service.sql.rows(ticket.ticket, who, terms.check, tally)
            batches = _without_progress(rows.batches)
            running.of(self._send(context, request_id(context), batches, terms, Handover()))
            tally.planned()
            tally.streams()
            return fl.GeneratorStream(rows.schema, running)

    def _asked(self, context: fl.ServerCallContext, ticket: bytes, terms: Terms) -> tuple[Request, Collection]:
        request, collection = self.service.request(ticket, caller(context), terms.check)
        tally_of(context).asks(ticket, collection.name, request.layout)
        return request, collection


def _without_progress(batches: Generator[pa.RecordBatch]) -> Generator[tuple[pa.RecordBatch, Progress]]:
    with closing(batches):
        for batch in batches:
            yield batch, Progress()
            del batch


def _handover(context: fl.ServerCallContext, request: Request) -> Handover:
    """Memory for batches; what is to be compressed is sent."""
    return Handover("" if request.compression else offer(context), told_peer(context.peer()))


def _writing(request: Request) -> pa.ipc.IpcWriteOptions:
    return pa.ipc.IpcWriteOptions(compression=request.compression)


def _collection_name(descriptor: fl.FlightDescriptor) -> str:
    if len(descriptor.path) != 1:
        raise RequestError(
            ErrorCode.BAD_REQUEST,
            f"the path has {len(descriptor.path)} parts",
            field="path",
            hint="a path is the name of one collection; a read is asked for by a command",
        )
    name: str = descriptor.path[0].decode("utf-8", errors="replace")
    return name
