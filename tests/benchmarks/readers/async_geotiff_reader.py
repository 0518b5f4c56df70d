"""async-geotiff: headers on the first call, kept for the later ones. It has no masks and points: these are made of its tiles."""

import asyncio
from pathlib import Path
from typing import Any

from async_geotiff import GeoTIFF, Window

from benchmarks.readers import NotOffered, Prepared
from benchmarks.readers.floor_reader import make_store
from benchmarks.readers.tilework import TileWork
from benchmarks.scenarios import Grid, Item, Windows, Work


def prepare(work: Work, index: Path) -> Prepared:
    if isinstance(work.area, Grid):
        raise NotOffered
    store = make_store(work.root)
    loop = asyncio.new_event_loop()
    opened: dict[str, GeoTIFF] = {}
    owners = [item for item in work.items for _ in work.bands]

    async def one(href: str, item: Item) -> Any:
        path = href.removeprefix(work.root)
        if path not in opened:
            opened[path] = await GeoTIFF.open(path, store=store)
        file = opened[path]
        if isinstance(work.area, Windows):
            windows = [Window(*window) for window in work.area.windows]
            return [found.data[0] for found in await asyncio.gather(*(file.read(window=window) for window in windows))]
        places = TileWork(work, file.tile_width).needed(item)
        tiles = await file.fetch_tiles([(col, row) for row, col in places])
        return dict(zip(places, (tile.array.data[0] for tile in tiles), strict=True))

    def tiled() -> TileWork:
        return TileWork(work, next(iter(opened.values())).tile_width)

    async def everything() -> Any:
        files = await asyncio.gather(*map(one, work.hrefs, owners))
        return files if isinstance(work.area, Windows) else tiled().result(files)

    return Prepared(lambda: loop.run_until_complete(everything()), lambda found: tiled().canonical(found))
