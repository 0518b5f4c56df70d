"""Cutting chips into rows: complete, in order, within the target, along tiles where these fit."""

from itertools import pairwise

import numpy as np
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from rasterflight_server.plan.blocks import MAX_BATCH_ROWS, Block, batches, block_windows, cut_rows
from rasterflight_server.plan.cutouts import BandSource, GridCut, Record, RecordCut
from rasterflight_server.types import Asset, BandMeta, Grid, Identity, Level, Profile, Window


def make_cut(windows: list[Window], tiles: list[int], dtype: str = "uint16") -> GridCut:
    grid = Grid(1 << 20, 1 << 20, Affine.identity(), None)
    bands = []
    for column, tile in enumerate(tiles):
        level = Level(grid.width, grid.height, tile, tile, dtype, False, 1, 1, 1, 1, False)
        profile = Profile((level,), (BandMeta(),), None)
        asset = Asset(f"b{column}", f"/b{column}.tif", Identity(1), profile, grid, lambda _: None)
        bands.append(BandSource(column, asset, 0))
    return GridCut(grid, tuple(bands), np.arange(len(windows)), np.array(windows, dtype=np.int64))


@given(
    off=st.integers(0, 5000),
    height=st.integers(1, 20_000),
    width=st.integers(1, 5000),
    tiles=st.lists(st.sampled_from([16, 256, 512, 1024]), min_size=1, max_size=4),
    target=st.sampled_from([1 << 16, 1 << 20, 4 << 20]),
)
def test_blocks_are_complete_and_bounded(off: int, height: int, width: int, tiles: list[int], target: int) -> None:
    window = Window(7, off, width, height)
    cut = make_cut([window], tiles)
    rows = cut_rows(window, cut, target)
    assert rows[0][0] == 0
    assert rows[-1][1] == height
    assert all(stop == start for (_, stop), (start, _) in pairwise(rows))
    one_row = width * cut.pixel_bytes
    assert all(start < stop and (stop - start) * one_row <= max(target, one_row) for start, stop in rows)
    tile = max(tiles)
    if tile * one_row <= target:
        assert all((off + stop) % tile == 0 for _, stop in rows[:-1])
    assert [list(w) for w in block_windows(cut, target)] == [
        [7, off + start, width, stop - start] for start, stop in rows
    ]


def test_a_small_chip_is_one_block() -> None:
    window = Window(3, 5, 100, 100)
    assert cut_rows(window, make_cut([window], [64]), 1 << 20) == [(0, 100)]


def record(cut: GridCut) -> RecordCut:
    return RecordCut(Record(0, "a", None, None), [cut])


def test_small_chips_share_a_batch() -> None:
    cut = make_cut([Window(0, 0, 10, 10)] * 10, [256])
    found = list(batches([record(cut)] * 3, 1 << 20, []))
    assert [len(batch) for batch in found] == [30]


def test_batches_are_bounded_by_bytes_rows_and_geometries() -> None:
    cut = make_cut([Window(0, 0, 100, 100)] * 10, [256])
    assert [len(batch) for batch in batches([record(cut)], 50_000, [])] == [2] * 5
    tiny = make_cut([Window(0, 0, 1, 1)] * (MAX_BATCH_ROWS + 1), [256])
    assert [len(batch) for batch in batches([record(tiny)], 1 << 20, [])] == [MAX_BATCH_ROWS, 1]
    assert [len(batch) for batch in batches([record(cut)], 1 << 20, [1 << 19] * 10)] == [1] * 10


def test_order_is_by_area_then_grid() -> None:
    one = make_cut([Window(0, 0, 1, 1)] * 2, [16])
    other = make_cut([Window(0, 0, 2, 2)] * 2, [16])
    [batch] = batches([RecordCut(Record(0, "a", None, None), [one, other])], 1 << 20, [])
    assert all(isinstance(item, Block) for item in batch)
    assert [(item.chip.number, item.chip.window.width) for item in batch] == [(0, 1), (0, 2), (1, 1), (1, 2)]
