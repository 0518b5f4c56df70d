"""Cases answered in this process, without gRPC: fast, and next to the code."""

from collections import Counter
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.flight as fl

from fuzz.cases import Case, Frame, ipc
from fuzz.judge import Bug, complaint
from rasterflight_protocol.v1.plan_pb2 import Upload
from rasterflight_server.catalog import Collection
from rasterflight_server.encode.records import RecordsStream
from rasterflight_server.errors import ServiceError
from rasterflight_server.flight.actions import run_action
from rasterflight_server.flight.admission import Place
from rasterflight_server.flight.boundary import error_detail
from rasterflight_server.flight.exchange import PointsExchange
from rasterflight_server.flight.infos import read_info
from rasterflight_server.flight.running import Terms
from rasterflight_server.flight.service import Service, is_records
from rasterflight_server.flight.uploads import receive_areas
from rasterflight_server.types.caller import ANONYMOUS

#: A stream is read so far: what comes after is as the first batches are.
_BATCHES = 3


class Answers:
    """Answers cases as a server does."""

    def __init__(self, indexes: dict[str, Path]) -> None:
        self.service = Service({name: Collection.open(path) for name, path in indexes.items()})
        self.codes: Counter[str] = Counter()

    def close(self) -> None:
        self.service.workers.close()
        for collection in self.service.collections.values():
            collection.close()

    def __call__(self, case: Case) -> str:
        """The code of the answer.

        Raises
        ------
        Bug
            It is none that a caller may see.
        """
        code = self._code(case)
        self.codes[code] += 1
        return code

    def _code(self, case: Case) -> str:
        try:
            getattr(self, f"_{case.rpc.lower()}")(case)
        except ServiceError as error:
            detail = error_detail(error, "id")
            if wrong := complaint(detail, str(error)):
                raise Bug(wrong) from error
            return detail.code
        except Exception as error:
            raise Bug(f"{type(error).__name__}: {error}") from error
        return "OK"

    def _getflightinfo(self, case: Case) -> None:
        if case.name == "path":
            self.service.collection(case.command.decode(errors="replace"))
            return
        request, collection = self.service.request(case.command)
        read_info(self.service, collection, request, fl.FlightDescriptor.for_command(case.command))

    _getschema = _getflightinfo

    def _doget(self, case: Case) -> None:
        request, collection = self.service.request(case.command)
        if is_records(request):
            batches: Any = RecordsStream(collection, request).batches(lambda: None)
        else:
            batches = self.service.pixels(collection, request).batches(lambda: None)
        for _ in zip(range(_BATCHES), batches, strict=False):
            pass
        batches.close()

    def _doaction(self, case: Case) -> None:
        run_action(self.service, case.name, case.command, ANONYMOUS)

    def _doput(self, case: Case) -> None:
        path = case.name == "path"
        descriptor = (fl.FlightDescriptor.for_path if path else fl.FlightDescriptor.for_command)(case.command)
        written: list[bytes] = []
        receive_areas(
            self.service.uploads,
            descriptor,
            Reader(case.frames),
            SimpleNamespace(write=written.append),
            caller=ANONYMOUS,
            account="fuzz",
            check=lambda: None,
        )
        # Nobody else asks for it.
        self.service.uploads.drop(Upload.FromString(written[0]).id, ANONYMOUS.key)

    def _doexchange(self, case: Case) -> None:
        request, collection = self.service.request(case.command)
        place: Any = SimpleNamespace(batch_bytes=1 << 20, need=lambda nbytes: None, spec=Place)
        exchange = PointsExchange(self.service, collection, request, place, self.service.telemetry)
        for batch, _ in exchange.batches(Reader(case.frames), Terms(lambda: False, None)):
            batch.validate(full=True)


class Reader:
    """What Flight gives a server to read from."""

    def __init__(self, frames: tuple[Frame, ...]) -> None:
        self._data = ipc(frames)

    @cached_property
    def _stream(self) -> pa.RecordBatchReader:
        return pa.ipc.open_stream(self._data)

    @property
    def schema(self) -> pa.Schema:
        return self._stream.schema

    def read_chunk(self) -> Any:
        return SimpleNamespace(data=self._stream.read_next_batch())
