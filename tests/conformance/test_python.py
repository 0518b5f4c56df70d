"""Golden vectors in Python: plain pyarrow.flight, the client's own tickets, and what rasterio says of the pixels."""

import base64
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow.flight as fl
import pytest
import shapely

import rasterflight as rf
from conformance.generate import VECTORS, generate
from conformance.pixels import Truth, has_pixels
from conformance.runner import Case, Runner, why_not
from rasterflight._connection import Connection
from rasterflight_protocol import ErrorCode, pack
from rasterflight_protocol.v1.read_pb2 import Layout, ReadRequest
from support.server import ServerProcess

TEXT = VECTORS.read_text()
CASES: dict[str, Case] = {case["name"]: case for case in json.loads(TEXT)["cases"]}
#: Codes that no request alone brings about on this server: who calls, stores and moments do.
_NOT_PROVOKED = {
    "UNAUTHENTICATED", "FORBIDDEN", "SOURCE_FORBIDDEN", "SOURCE_UNAVAILABLE", "UNSUPPORTED_CODEC",
    "BUSY", "DRAINING", "CANCELLED", "INTERNAL",
}  # fmt: skip


@pytest.fixture(scope="module")
def runner(vectors_server: ServerProcess) -> Iterator[Runner]:
    runner = Runner(vectors_server.url)
    yield runner
    runner.close()


@pytest.mark.parametrize("name", CASES)
def test_case(runner: Runner, name: str) -> None:
    assert not why_not(runner, CASES[name])


@pytest.mark.parametrize(
    ("name", "path", "wrong", "words"),
    [
        ("chips/box", ("columns", "red", "sha256"), "0" * 64, "columns.red.sha256 is"),
        ("chips/box", ("plan", "tiles"), 1, "plan.tiles is 8, expected 1"),
        ("chips/box", ("rows",), 7, "rows is 6, expected 7"),
        ("chips/box", ("metadata_keys",), ["none"], "metadata lacks ['none']"),
        ("chips/masked", ("columns", "red", "nulls"), 0, "columns.red.nulls is 310"),
        ("errors/unknown-band", ("error", "hint"), "none", "error.hint is"),
        ("errors/file-changed", ("on",), ["DoExchange"], "on is 'DoGet', expected 'DoExchange'"),
    ],
)
def test_the_runner_sees_what_is_wrong(
    runner: Runner, name: str, path: tuple[str, ...], wrong: Any, words: str
) -> None:
    case = copy.deepcopy(CASES[name])
    part = case["expected"]
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = wrong
    assert words in why_not(runner, case)


def test_the_file_is_what_the_cases_give(vectors_server: ServerProcess) -> None:
    assert generate(vectors_server.url) == TEXT, "run: python tests/conformance/generate.py"


def test_the_file_has_the_form_that_runners_expect() -> None:
    jsonschema.validate(json.loads(TEXT), json.loads(VECTORS.with_name("vectors.schema.json").read_text()))
    assert len(CASES) == len(json.loads(TEXT)["cases"])


def test_everything_is_covered() -> None:
    codes = {case["expected"]["error"]["code"] for case in CASES.values() if "error" in case["expected"]}
    assert codes == {code.code for code in ErrorCode} - _NOT_PROVOKED
    layouts = {case["ticket"].get("layout") for case in CASES.values() if "rows" in case["expected"]}
    assert layouts >= set(Layout.keys()) - {"LAYOUT_UNSPECIFIED"}
    said = {name for case in CASES.values() for name in case.get("ticket", ())}
    assert said == {field.json_name for field in ReadRequest.DESCRIPTOR.fields}


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "call" in case])
def test_the_client_asks_for_the_same(vectors_server: ServerProcess, name: str, monkeypatch: Any) -> None:
    case = CASES[name]
    asked: list[ReadRequest] = []

    class AskedError(Exception):
        pass

    def stop(connection: Connection, request: ReadRequest, *_: Any, **__: Any) -> None:
        asked.append(request)
        raise AskedError

    monkeypatch.setattr(Connection, "open", stop)
    with rf.connect(vectors_server.url) as client:
        collection = client.collection(case["ticket"]["collection"])
        call = _loaded(case["call"])
        if "subset" in call:
            collection = collection.subset(**call["subset"])
        with pytest.raises(AskedError):
            getattr(collection, call["method"])(**call["kwargs"])
    [request] = asked
    assert pack(request) == base64.b64decode(case["ticket_base64"])


def _loaded(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() == {"wkb"}:
        return shapely.from_wkb(base64.b64decode(value["wkb"]))
    if isinstance(value, dict):
        return {name: _loaded(each) for name, each in value.items()}
    return value


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if has_pixels(case)])
def test_pixels_are_those_of_rasterio(
    runner: Runner, vectors_server: ServerProcess, vectors_files: dict[str, Path], name: str
) -> None:
    case = CASES[name]
    [*_, (_, ticket)] = runner.tickets(case)
    with fl.connect(vectors_server.url) as client:
        table = client.do_get(fl.Ticket(ticket)).read_all()
    Truth(case, vectors_files[case["ticket"]["collection"]]).check(table)
