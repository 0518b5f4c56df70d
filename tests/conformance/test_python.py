"""Golden vectors, played by plain pyarrow.flight."""

import json
from collections.abc import Iterator

import pytest

from conformance.generate import VECTORS
from conformance.runner import Runner, why_not
from support.server import ServerProcess

VECTORS_TEXT = VECTORS.read_text()
CASES = {case["name"]: case for case in json.loads(VECTORS_TEXT)["cases"]}


@pytest.fixture(scope="module")
def runner(vectors_server: ServerProcess) -> Iterator[Runner]:
    runner = Runner(vectors_server.url)
    yield runner
    runner.close()


@pytest.mark.parametrize("name", CASES)
def test_case(runner: Runner, name: str) -> None:
    assert not why_not(runner, CASES[name])
