"""Plays golden vectors with pyarrow.flight and protobuf alone.

python tests/conformance/runner.py --url grpc://127.0.0.1:8815 --vectors tests/conformance/vectors.json
"""

import argparse
import base64
import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.flight as fl
from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as Envelope

from rasterflight_protocol.v1.error_pb2 import ErrorDetail
from rasterflight_protocol.v1.plan_pb2 import Plan, Progress, Upload
from rasterflight_protocol.v1.read_pb2 import ReadRequest

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
from conformance.digests import columns_of, schema_text

Case = dict[str, Any]
TRAILER = "rasterflight-error-bin"
#: Ends a text that any other may stand for which begins so.
ELLIPSIS = "…"


class RefusedError(Exception):
    """A call ended with an error of the service.

    Parameters
    ----------
    rpc
        The call.
    detail
        What the trailer says; ``code`` alone where the call ended on this side.
    """

    def __init__(self, rpc: str, detail: dict[str, Any]) -> None:
        super().__init__(rpc, detail)
        self.rpc = rpc
        self.detail = detail


class Trailers(fl.ClientMiddlewareFactory):
    """Keeps the last error that a server sent beside its answers."""

    def __init__(self) -> None:
        self.last: bytes | None = None

    def start_call(self, info: fl.CallInfo) -> fl.ClientMiddleware:
        return _Headers(self)


class _Headers(fl.ClientMiddleware):
    def __init__(self, trailers: Trailers) -> None:
        self._trailers = trailers

    def received_headers(self, headers: dict[str, list[Any]]) -> None:
        for value in headers.get(TRAILER, []):
            self._trailers.last = value


class Runner:
    """Plays cases against one server."""

    def __init__(self, url: str) -> None:
        self._trailers = Trailers()
        self._client = fl.connect(url, middleware=[self._trailers])

    def close(self) -> None:
        self._client.close()

    def play(self, case: Case) -> list[tuple[str, dict[str, Any]]]:
        """What comes of each ticket and each way to play it: (the way, what ``expected`` should be)."""
        options = fl.FlightCallOptions(timeout=case.get("timeout"))
        return [
            (f"{form} {way}", self._outcome(case, ticket, way, options))
            for form, ticket in self.tickets(case)
            for way in _ways(case)
        ]

    def tickets(self, case: Case) -> Iterator[tuple[str, bytes]]:
        """The tickets of a case, with what stands in their place put in."""
        if "ticket" not in case:
            yield "bytes", base64.b64decode(case["ticket_base64"])
            return
        text = json.dumps(case["ticket"])
        if "upload" in case:
            text = text.replace("{upload}", self._upload([base64.b64decode(value) for value in case["upload"]]))
        if "{snapshot}" in text:
            text = text.replace("{snapshot}", self._snapshots()[case["ticket"]["collection"]])
        message = json_format.Parse(text, ReadRequest())
        envelope = Envelope()
        if "ticket_base64" in case:
            envelope.ParseFromString(base64.b64decode(case["ticket_base64"]))
            inside = ReadRequest()
            if not envelope.Unpack(inside) or inside != message:
                raise ValueError("ticket_base64 holds another request than ticket")
        else:
            envelope.Pack(message, deterministic=True)
        yield "json", text.encode()
        yield "binary", envelope.SerializeToString(deterministic=True)

    def _outcome(self, case: Case, ticket: bytes, way: str, options: fl.FlightCallOptions) -> dict[str, Any]:
        found: dict[str, Any] = {}
        self._trailers.last = None
        try:
            if way == "exchange":
                found |= self._rows([self._exchange(ticket, case["exchange"], options)])
            elif way == "ticket":
                found |= self._rows([self._get(ticket, options)])
            else:
                info = self._plan(ticket, options)
                found |= {"plan": _plan(info), "schema": schema_text(info.schema)}
                streams = self._rows([self._get(endpoint.ticket.ticket, options) for endpoint in info.endpoints])
                if streams["schema"] != found["schema"]:
                    raise ValueError("the schema of the plan is not that of the stream")
                found |= streams
        except RefusedError as refused:
            found.pop("schema", None)
            found |= {"error": refused.detail, "on": refused.rpc}
        return found

    def _plan(self, ticket: bytes, options: fl.FlightCallOptions) -> fl.FlightInfo:
        try:
            return self._client.get_flight_info(fl.FlightDescriptor.for_command(ticket), options)
        except pa.ArrowException as error:
            raise self._refused("GetFlightInfo", error) from None

    def _get(self, ticket: bytes, options: fl.FlightCallOptions) -> tuple[pa.Table, Progress]:
        try:
            return _read(self._client.do_get(fl.Ticket(ticket), options))
        except pa.ArrowException as error:
            raise self._refused("DoGet", error) from None

    def _exchange(
        self, ticket: bytes, sets: list[dict[str, list[float | str]]], options: fl.FlightCallOptions
    ) -> tuple[pa.Table, Progress]:
        schema = pa.schema([("x", pa.float64()), ("y", pa.float64())])
        try:
            writer, reader = self._client.do_exchange(fl.FlightDescriptor.for_command(ticket), options)
            with suppress(pa.ArrowException):  # what is at fault, the reader says
                writer.begin(schema)
                for points in sets:
                    values = {name: list(map(float, points[name])) for name in schema.names}
                    writer.write_batch(pa.RecordBatch.from_pydict(values, schema=schema))
                writer.done_writing()
            return _read(reader)
        except pa.ArrowException as error:
            raise self._refused("DoExchange", error) from None

    def _upload(self, areas: list[bytes]) -> str:
        field = pa.field("geometry", pa.binary(), nullable=False)
        schema = pa.schema([field], metadata={"rasterflight:areas": str(len(areas))})
        writer, reader = self._client.do_put(fl.FlightDescriptor.for_path("areas"), schema)
        with writer:
            writer.write_batch(pa.RecordBatch.from_arrays([pa.array(areas, pa.binary())], schema=schema))
            writer.done_writing()
            answer = Upload.FromString(reader.read().to_pybytes())
        if answer.areas != len(areas):
            raise ValueError(f"{len(areas)} areas went up, and the answer says {answer.areas}")
        return answer.id

    def _snapshots(self) -> dict[str, str]:
        [answer] = self._client.do_action("healthcheck")
        return json.loads(answer.body.to_pybytes())["collections"]

    def _refused(self, rpc: str, error: pa.ArrowException) -> RefusedError:
        if self._trailers.last is None:
            if isinstance(error, fl.FlightTimedOutError):
                return RefusedError(rpc, {"code": "DEADLINE", "retryable": True})
            raise error
        detail = ErrorDetail.FromString(self._trailers.last)
        if not detail.request_id:
            raise ValueError("an error without a request id")
        detail.ClearField("request_id")
        detail.ClearField("retry_after")
        fields = json_format.MessageToDict(detail, preserving_proto_field_name=True)
        for text in {"message", "hint"} & fields.keys():
            for snapshot in self._snapshots().values():
                fields[text] = fields[text].replace(snapshot, "{snapshot}")
        return RefusedError(rpc, {"retryable": False} | fields)

    def _rows(self, streams: list[tuple[pa.Table, Progress]]) -> dict[str, Any]:
        tables = [table for table, _ in streams]
        table = pa.concat_tables(tables)
        return {
            "schema": schema_text(table.schema),
            "metadata_keys": sorted(key.decode() for key in table.schema.metadata or {}),
            "rows": table.num_rows,
            "columns": columns_of(table),
            "progress": {
                "bytes_done": sum(progress.bytes_done for _, progress in streams),
                "bytes_total": sum(progress.bytes_total for _, progress in streams),
            },
        }


def _ways(case: Case) -> list[str]:
    if "exchange" in case:
        return ["exchange"]
    return {"GetFlightInfo": ["endpoints"], "DoGet": ["ticket"]}.get(case.get("only", ""), ["endpoints", "ticket"])


def _read(reader: fl.FlightStreamReader) -> tuple[pa.Table, Progress]:
    schema, batches, progress = reader.schema, [], Progress()
    for chunk in reader:
        if chunk.data is not None:
            batches.append(chunk.data)
        if chunk.app_metadata is not None:
            progress = Progress.FromString(chunk.app_metadata.to_pybytes())
    return pa.Table.from_batches(batches, schema), progress


def _plan(info: fl.FlightInfo) -> dict[str, Any]:
    plan = Plan.FromString(info.app_metadata)
    if not plan.snapshot:
        raise ValueError("a plan without a snapshot")
    counts = ("records", "chips", "rows", "tiles", "bytes_to_fetch", "bytes_to_receive")
    return {
        **{name: getattr(plan, name) for name in counts},
        "crs": list(plan.crs),
        "levels": [{"band": each.band, "levels": list(each.levels)} for each in plan.levels],
        "total_records": info.total_records,
        "total_bytes": info.total_bytes,
        "ordered": info.ordered,
        "endpoints": len(info.endpoints),
    }


def differences(expected: dict[str, Any], way: str, found: dict[str, Any]) -> Iterator[str]:
    """What an outcome has otherwise than expected, in words."""
    if "error" in expected:
        yield from _differences_of_errors(expected, way, found)
        return
    if "error" in found:
        yield f"{found['on']} ended with {found['error']}"
        return
    missing = set(expected.get("metadata_keys", ())) - set(found["metadata_keys"])
    if missing:
        yield f"the schema's metadata lacks {sorted(missing)}"
    for part in ("plan", "schema", "rows", "progress"):
        if part in expected and part in found:
            yield from _compare(part, expected[part], found[part])
    yield from _compare("columns", expected["columns"], found["columns"])


def _differences_of_errors(expected: dict[str, Any], way: str, found: dict[str, Any]) -> Iterator[str]:
    if "error" not in found:
        yield f"no error, {found['rows']} rows"
        return
    rpcs = [rpc for rpc in expected["on"] if way != "ticket" or rpc != "GetFlightInfo"]
    yield from _compare("on", rpcs[0], found["on"])
    names = ["code"] if expected.get("code_only") else sorted(expected["error"].keys() | found["error"].keys())
    for name in names:
        yield from _compare(f"error.{name}", expected["error"].get(name), found["error"].get(name))
    if "plan" in expected and "plan" in found:
        yield from _compare("plan", expected["plan"], found["plan"])


def _compare(what: str, expected: Any, found: Any) -> Iterator[str]:
    if isinstance(expected, dict) and isinstance(found, dict):
        for name in [*expected, *(name for name in found if name not in expected)]:
            yield from _compare(f"{what}.{name}", expected.get(name), found.get(name))
    elif expected != found and not _begins(expected, found):
        yield f"{what} is {found!r}, expected {expected!r}"


def _begins(expected: Any, found: Any) -> bool:
    if not isinstance(expected, str) or not isinstance(found, str) or not expected.endswith(ELLIPSIS):
        return False
    return found.startswith(expected.removesuffix(ELLIPSIS))


def why_not(runner: Runner, case: Case) -> str:
    """Why a case is not ok; empty: it is."""
    try:
        outcomes = runner.play(case)
    except (pa.ArrowException, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return "; ".join(
        f"{how}: {why}" for how, found in outcomes for why in differences(case["expected"], how.split()[1], found)
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Play golden vectors against a server.")
    parser.add_argument("--url", required=True)
    parser.add_argument("--vectors", type=Path, required=True)
    parser.add_argument("--only", help="name of one case")
    options = parser.parse_args()
    cases = json.loads(options.vectors.read_text())["cases"]
    runner = Runner(options.url)
    failed = False
    for case in cases:
        if options.only in (None, case["name"]):
            why = why_not(runner, case)
            failed = failed or bool(why)
            print(json.dumps({"name": case["name"], "ok": not why} | ({"why": why} if why else {})), flush=True)
    runner.close()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
