"""The server that all runners play against."""

from collections.abc import Iterator

import pytest

from conformance.served import served
from support.server import ServerProcess


@pytest.fixture(scope="session")
def vectors_server() -> Iterator[ServerProcess]:
    with served() as server:
        yield server
