"""The floor: no product, but the least that a reader made of the same parts has to do.

It knows the headers beforehand, fetches the needed tiles by obstore, a request each, inflates each once by libdeflate on two
threads, and puts the result together. No server, no pixels between processes, no checks.
"""

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import obstore
import tifffile
from obstore.store import HTTPStore, LocalStore

from benchmarks.readers import Prepared
from benchmarks.readers.tilework import Tiles, TileWork
from benchmarks.scenarios import Item, Work

#: Bytes that hold the header of a cloud-optimised file.
_PREFIX = 65536


@dataclass(frozen=True)
class _Header:
    tile: int
    across: int
    offsets: tuple[int, ...]
    counts: tuple[int, ...]


def make_store(root: str) -> HTTPStore | LocalStore:
    """The store whose paths are hrefs without the root."""
    return HTTPStore(root, client_options={"allow_http": True}) if root.startswith("http") else LocalStore(root)


def prepare(work: Work, index: Path) -> Prepared:
    paths = [href.removeprefix(work.root) for href in work.hrefs]
    before = make_store(work.root)
    headers = [_header(before, path) for path in paths]
    tiled = TileWork(work, headers[0].tile)
    store = make_store(work.root)
    pool = ThreadPoolExecutor(2)
    loop = asyncio.new_event_loop()
    owners = [item for item in work.items for _ in work.bands]

    async def one(path: str, header: _Header, item: Item) -> Tiles:
        async def tile(row: int, col: int) -> np.ndarray:
            number = row * header.across + col
            data = await obstore.get_range_async(
                store, path, start=header.offsets[number], length=header.counts[number]
            )
            return await loop.run_in_executor(pool, _decode, data, header.tile)

        places = tiled.needed(item)
        return dict(zip(places, await asyncio.gather(*(tile(*place) for place in places)), strict=True))

    async def everything() -> Any:
        return tiled.result(await asyncio.gather(*map(one, paths, headers, owners)))

    return Prepared(lambda: loop.run_until_complete(everything()), tiled.canonical, close=loop.close)


def _header(store: HTTPStore | LocalStore, path: str) -> _Header:
    start = obstore.get(store, path, options={"range": (0, _PREFIX)}).bytes()
    with tifffile.TiffFile(io.BytesIO(start), name=path) as file:
        page = file.pages.first
        assert page.predictor == tifffile.PREDICTOR.HORIZONTAL
        across = -(-page.imagewidth // page.tilewidth)
        return _Header(page.tilewidth, across, page.dataoffsets, page.databytecounts)


def _decode(data: Any, side: int) -> np.ndarray:
    inflated = np.empty(side * side * 2, np.uint8)
    imagecodecs.deflate_decode(data, out=inflated)
    pixels = inflated.view(np.uint16).reshape(side, side)
    imagecodecs.delta_decode(pixels, axis=-1, out=pixels)
    return pixels
