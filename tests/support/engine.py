"""Files read by the engine alone, without a server: header, tiles, pixels."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from rasterflight_server.ingest.header import Header, read_header
from rasterflight_server.read.reader import Piece, Reader
from rasterflight_server.read.workers import Workers
from rasterflight_server.store import open_source
from rasterflight_server.telemetry import Telemetry
from rasterflight_server.types import Asset, Window


class Engine:
    """Reads windows of files as the server does."""

    def __init__(self) -> None:
        self.telemetry = Telemetry()
        self.workers = Workers(self.telemetry, decoders=2)

    def header(self, path: Path) -> Header:
        with open_source(str(path)) as source:
            return read_header(source)

    def read(
        self, path: Path, window: Window | None = None, samples: list[int] | None = None, level: int = 0
    ) -> np.ndarray:
        """Read pixels, bands first; all of a level unless told otherwise."""
        return self.read_known(path, self.header(path), window, samples, level)

    def read_known(
        self,
        path: Path,
        header: Header,
        window: Window | None = None,
        samples: list[int] | None = None,
        level: int = 0,
    ) -> np.ndarray:
        """Read pixels of a file whose header was read before."""
        shape = header.profile.levels[level]
        window = window or Window(0, 0, shape.width, shape.height)
        samples = list(range(shape.samples)) if samples is None else samples
        asset = Asset("image", str(path), header.identity, header.profile, header.grid, lambda n: header.tiles[n])
        # Not what any test writes, so that pixels which are left out show.
        out = np.full((len(samples), window.height, window.width), 77, dtype=shape.dtype)
        nodata = header.profile.nodata
        fill = np.dtype(shape.dtype).type(0 if nodata is None else nodata)
        outs = [(sample, out[position].reshape(-1)) for position, sample in enumerate(samples)]
        piece = Piece("record", asset, level, np.array([window]), outs, fill)
        reader = Reader(self.workers)
        [pending] = reader.start([[piece]])
        failed = reader.wait(pending, lambda: None)
        if failed:
            raise failed[0].error
        return out


@contextmanager
def engine() -> Iterator[Engine]:
    """An engine whose threads end with the block."""
    made = Engine()
    try:
        yield made
    finally:
        made.workers.close()
