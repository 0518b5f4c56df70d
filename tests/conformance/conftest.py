"""The server that all runners play against."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.served import served
from support.server import ServerProcess


@pytest.fixture(scope="session")
def _vectors(indexes: dict[str, Path]) -> Iterator[tuple[ServerProcess, dict[str, Path]]]:
    with served(indexes) as vectors:
        yield vectors


@pytest.fixture(scope="session")
def vectors_server(_vectors: tuple[ServerProcess, dict[str, Path]]) -> ServerProcess:
    return _vectors[0]


@pytest.fixture(scope="session")
def vectors_files(_vectors: tuple[ServerProcess, dict[str, Path]]) -> dict[str, Path]:
    """The folder with the files of each collection."""
    return _vectors[1]
