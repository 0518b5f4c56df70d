"""Cutting chips into rows: complete, in order, within the target, along tiles where these fit."""

from itertools import pairwise

import numpy as np
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from rasterflight_server.errors import NoDataError
from rasterflight_server.plan.blocks import MAX_BATCH_ROWS, Rows, batches, block_windows, cut_rows, record_rows, strips
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


def record(*cuts: GridCut) -> RecordCut:
    return RecordCut(Record(0, "a", None, None), cuts)


def lengths(records: list[RecordCut], target: int, geometry_bytes: list[int] | None = None) -> list[int]:
    """Number of rows of each batch."""
    sizes = None if geometry_bytes is None else np.array(geometry_bytes)
    found = batches((record_rows(one, target) for one in records), target, sizes)
    return [sum(map(len, batch)) for batch in found]


def test_small_chips_share_a_batch() -> None:
    cut = make_cut([Window(0, 0, 10, 10)] * 10, [256])
    assert lengths([record(cut)] * 3, 1 << 20) == [30]


def test_batches_are_bounded_by_bytes_rows_and_geometries() -> None:
    cut = make_cut([Window(0, 0, 100, 100)] * 10, [256])
    assert lengths([record(cut)], 50_000) == [2] * 5
    tiny = make_cut([Window(0, 0, 1, 1)] * (MAX_BATCH_ROWS + 1), [256])
    assert lengths([record(tiny)], 1 << 20) == [MAX_BATCH_ROWS, 1]
    assert lengths([record(cut)], 1 << 20, [1 << 19] * 10) == [1] * 10


def test_a_record_that_fits_into_a_batch_is_not_divided() -> None:
    cut = make_cut([Window(0, 0, 100, 100)] * 3, [256])  # 60,000 bytes
    assert lengths([record(cut)] * 4, 150_000) == [6, 6]
    large = make_cut([Window(0, 0, 100, 100)] * 8, [256])
    assert lengths([record(cut), record(large), record(cut)], 100_000) == [5, 5, 4]


def test_a_record_that_cannot_be_read_has_one_row() -> None:
    failed = RecordCut(Record(0, "b", None, None), (), NoDataError("nothing"))
    cut = make_cut([Window(0, 0, 10, 10)], [256])
    [[first, second, third]] = batches((record_rows(one, 1000) for one in [record(cut), failed, record(cut)]), 1000)
    assert (len(first), len(second), len(third)) == (1, 1, 1)
    assert (second.cut[0], second.numbers[0], second.nbytes[0]) == (-1, -1, 0)


def windows_of(rows: Rows) -> list[tuple[int, int, list[int]]]:
    """Number, grid and window of each row."""
    found = []
    for row in range(len(rows)):
        cut = rows.record.cuts[rows.cut[row]]
        one = rows.part(row, row + 1)
        found.append((int(one.numbers[0]), int(rows.cut[row]), *strips(cut, one.chip, one.start, one.stop).tolist()))
    return found


def test_order_is_by_area_then_grid_then_downwards() -> None:
    one = make_cut([Window(0, 0, 1, 1)] * 2, [16])
    other = make_cut([Window(0, 0, 2, 2), Window(5, 3, 10, 20)], [16])
    rows = record_rows(record(one, other), 200)
    assert windows_of(rows) == [
        (0, 0, [0, 0, 1, 1]),
        (0, 1, [0, 0, 2, 2]),
        (1, 0, [0, 0, 1, 1]),
        (1, 1, [5, 3, 10, 6]),
        (1, 1, [5, 9, 10, 7]),
        (1, 1, [5, 16, 10, 7]),
    ]
