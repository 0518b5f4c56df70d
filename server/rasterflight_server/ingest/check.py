"""Trying files out: what they are, whether they read, and if not why."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError, SourceError
from rasterflight_server.ingest.describe import describe
from rasterflight_server.ingest.folder import is_raster
from rasterflight_server.ingest.header import Header, read_header
from rasterflight_server.read.reader import Piece, Reader
from rasterflight_server.read.workers import Workers
from rasterflight_server.store import Stores
from rasterflight_server.telemetry import Telemetry
from rasterflight_server.types import Asset, Level, Window


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of trying one file."""

    #: As it was given, or below the folder that was given.
    name: str
    #: What the file is; empty when not even its header can be read.
    what: str
    #: Why it does not read; None: it does.
    error: SourceError | None

    def __str__(self) -> str:
        what = f"{self.what}. " if self.what else ""
        if self.error is None:
            return f"{self.name}: {what}Reads."
        way_out = f" Way out: {self.error.hint}." if self.error.hint else ""
        return f"{self.name}: {what}Does not read: {self.error.message} ({self.error.code.code}).{way_out}"


def check_files(paths: Sequence[str], *, full: bool = False, stores: Stores | None = None) -> Iterator[Finding]:
    """Try files.

    Parameters
    ----------
    paths
        Files, by path or URL, and folders, which stand for the GeoTIFFs in them.
    full
        Decode every tile; else the first and the last of each level.
    stores
        Where files are opened; None: without options.

    Raises
    ------
    RequestError
        A folder has no GeoTIFF.
    """
    stores = stores or Stores()
    workers = Workers(Telemetry(), stores=stores)
    try:
        for path in paths:
            for href in _files(path):
                yield _check(href, stores, workers, full=full)
    finally:
        workers.close()


def _files(path: str) -> list[str]:
    if "://" in path or not Path(path).is_dir():
        return [path]
    found = sorted(str(file) for file in Path(path).rglob("*") if is_raster(file))
    if not found:
        raise RequestError(ErrorCode.BAD_REQUEST, f"the folder {path!r} has no GeoTIFF", field="paths")
    return found


def _check(href: str, stores: Stores, workers: Workers, *, full: bool) -> Finding:
    header = None
    try:
        with stores.open(href) as source:
            header = read_header(source)
        _decode(href, header, workers, full=full)
    except SourceError as error:
        return Finding(href, "" if header is None else describe(header), error)
    return Finding(href, describe(header), None)


def _decode(href: str, header: Header, workers: Workers, *, full: bool) -> None:
    asset = Asset("file", href, header.identity, header.profile, header.grid, header.tiles.__getitem__)
    reader = Reader(workers)
    for number in range(len(header.tiles)):
        level = header.profile.level(number)
        for sample, window in _all_tiles(level) if full else _two_tiles(level):
            out = np.empty(window.height * window.width, level.dtype)
            windows = np.array([window], dtype=np.int64)
            piece = Piece("", asset, number, windows, [(sample, out)], np.dtype(level.dtype).type(0))
            [pending] = reader.start([[piece]])
            failed = reader.wait(pending, lambda: None)
            if failed:
                error = failed[0].error
                level_name = "" if number == 0 else f"level {number}, "
                raise SourceError(error.code, f"{level_name}{error.message}", hint=error.hint)


def _two_tiles(level: Level) -> Iterator[tuple[int, Window]]:
    """Sample and window of the first and of the last tile."""
    left, top = (level.tiles_across - 1) * level.tile_width, (level.tiles_down - 1) * level.tile_height
    yield 0, Window(0, 0, min(level.tile_width, level.width), min(level.tile_height, level.height))
    yield level.samples - 1, Window(left, top, level.width - left, level.height - top)


def _all_tiles(level: Level) -> Iterator[tuple[int, Window]]:
    """Sample and window of every tile; those of chunky samples are the same tiles."""
    for sample in range(level.planes):
        for top in range(0, level.height, level.tile_height):
            height = min(level.tile_height, level.height - top)
            for left in range(0, level.width, level.tile_width):
                yield sample, Window(left, top, min(level.tile_width, level.width - left), height)
