"""Servers that clients lose, and find again."""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from support.proxy import CuttingProxy
from support.server import ServerProcess


@contextmanager
def unsteady(url: str, collections: Mapping[str, Path]) -> Iterator[tuple[CuttingProxy, ServerProcess]]:
    """A way to a server on which each connection is cut after one to five megabytes, and a server of two processes of which a test may kill one."""
    sizes = random.Random(1)
    lengths = iter(lambda: sizes.randrange(1_000_000, 5_000_000), None)
    with CuttingProxy(url, lengths) as cut, ServerProcess(collections, workers=2) as pair:
        yield cut, pair
