"""What a warped pixel is does not depend on the block, nor on the window, that it is made in; blocks say what they take."""

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from rasterflight_server.types import Grid, Window
from rasterflight_server.warp import Resampling, plan_warp
from rasterflight_server.warp.scanlines import Scanlines
from rasterflight_server.warp.transformer import Transformer
from support.warping import UTM, by_us, default_of, plan, scene, valid_of

METHODS = [method.value for method in Resampling]
SIZE = Grid(220, 160, UTM, "EPSG:32632")
#: Targets whose pixels are compared: same zone and others, finer and coarser, cut into chunks, over the pole.
TARGETS = {
    "other zone": default_of(SIZE, "EPSG:32633"),
    "degrees": default_of(SIZE, "EPSG:4326"),
    "shrunk": default_of(SIZE, "EPSG:32633", 33),
    "same zone": default_of(SIZE, "EPSG:32632", 17),
    "whole pixels": Grid(300, 250, Affine(10, 0, 599800, 0, -10, 5200300), "EPSG:32632"),
    "chunks": Grid(500, 400, Affine(20, 0, 140000, 0, -20, 5218000), "EPSG:32633"),
}
PIXELS = scene(SIZE.height, SIZE.width, "float32", -1.0)


@pytest.fixture(scope="module")
def wholes():
    return {
        (name, method): by_us(PIXELS, SIZE, target, method, -1.0, -1.0)
        for name, target in TARGETS.items()
        for method in METHODS
    }


@settings(max_examples=120, deadline=None)
@given(data=st.data(), name=st.sampled_from(sorted(TARGETS)), method=st.sampled_from(METHODS))
def test_blocks_of_any_size_in_any_window(wholes, data, name, method):
    target = TARGETS[name]
    col, row = data.draw(st.integers(0, target.width - 1)), data.draw(st.integers(0, target.height - 1))
    width, height = data.draw(st.integers(1, target.width - col)), data.draw(st.integers(1, target.height - row))
    max_pixels = data.draw(st.sampled_from([1, 50, 997, 1 << 15]))
    if max_pixels == 1:
        height = min(height, 20)
    warp = plan(SIZE, target, method, "float32")
    pixels, valid = np.full((height, width), -1, np.float32), np.zeros((height, width), np.bool_)
    seen = np.zeros((height, width), int)
    for block in warp.blocks(Window(col, row, width, height), max_pixels=max_pixels):
        there = tuple(
            slice(offset - begin, offset - begin + size)
            for offset, begin, size in (
                (block.target.row_off, row, block.target.height),
                (block.target.col_off, col, block.target.width),
            )
        )
        seen[there] += 1
        # Only what the block says that it takes; all else is not there.
        take = block.source or Window(0, 0, 0, 0)
        part = PIXELS[take.row_off : take.row_off + take.height, take.col_off : take.col_off + take.width]
        pixels[there], valid[there] = block.resample(part, take, valid=valid_of(part, -1.0), nodata=-1.0)
    whole, whole_valid = wholes[name, method]
    assert seen.max() <= 1
    there = slice(row, row + height), slice(col, col + width)
    assert not whole_valid[there][seen == 0].any()
    np.testing.assert_array_equal(pixels, whole[there])
    np.testing.assert_array_equal(valid, whole_valid[there])


@pytest.mark.parametrize("method", METHODS)
def test_single_pixels_along_the_edges(wholes, method):
    warp = plan(SIZE, TARGETS["other zone"], method, "float32")
    whole, valid = wholes["other zone", method]
    for row, col in np.argwhere(valid & ~np.roll(valid, 1, axis=1))[::5]:
        for block in warp.blocks(Window(int(col), int(row), 1, 1)):
            take = block.source
            part = PIXELS[take.row_off : take.row_off + take.height, take.col_off : take.col_off + take.width]
            pixels, _ = block.resample(part, take, valid=part != -1, nodata=-1.0)
            assert pixels == whole[row, col]


@pytest.mark.parametrize("method", METHODS)
def test_bands_share_a_block(method):
    block = next(iter(plan(SIZE, TARGETS["degrees"], method).blocks(Window(20, 20, 40, 30))))
    first, second = (scene(SIZE.height, SIZE.width, seed=seed) for seed in (1, 2))
    one, _ = block.resample(first, SIZE.window, valid=first > 0, nodata=0)
    other, _ = block.resample(second, SIZE.window, valid=second > 0, nodata=0)
    again, _ = block.resample(first, SIZE.window, valid=first > 0, nodata=0)
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


@pytest.mark.parametrize(
    ("method", "margin"), [("nearest", 0), ("bilinear", 1), ("cubic", 2), ("average", 1), ("mode", 1)]
)
def test_a_block_takes_little_more_than_what_lies_under_it(method, margin):
    # 10 m onto 10 m, a third of a pixel aside: as many source pixels, and the margin of the kernel.
    target = Grid(200, 140, Affine(10, 0, 600033, 0, -10, 5199967), "EPSG:32632")
    block = next(iter(plan(SIZE, target, method).blocks(Window(50, 40, 30, 20), max_pixels=10_000)))
    assert block.target == Window(50, 40, 30, 20)
    width, height = block.source.width, block.source.height
    assert 30 <= width <= 30 + 2 * margin + 2
    assert 20 <= height <= 20 + 2 * margin + 2


def test_blocks_are_rows_of_bounded_size():
    blocks = list(plan(SIZE, TARGETS["degrees"], "nearest").blocks(max_pixels=2000))
    width = TARGETS["degrees"].width
    assert {block.target.width for block in blocks} == {width}
    assert all(block.target.height <= 2000 // width for block in blocks)
    assert sum(block.target.height for block in blocks) == TARGETS["degrees"].height


def test_whole_pixels_are_copied_from_where_they_lie():
    warp = plan(SIZE, TARGETS["whole pixels"], "cubic")
    assert warp.copies
    block = next(iter(warp.blocks(Window(100, 100, 60, 50))))
    assert block.source == Window(80, 70, 60, 50)
    pixels, valid = block.resample(PIXELS[70:120, 80:140], block.source)
    assert valid.all()
    np.testing.assert_array_equal(pixels, PIXELS[70:120, 80:140])


def test_no_chunk_where_the_source_does_not_reach():
    warp = plan_warp(SIZE, Grid(10, 10, Affine(20, 0, 0, 0, -20, 0), None), Resampling.NEAREST)
    assert list(warp.blocks()) == []


def test_a_block_beside_the_source_takes_nothing():
    target = Grid(300, 240, Affine(10, 0, 599503, 0, -10, 5200497), SIZE.crs)
    block = next(iter(plan(SIZE, target, "average").blocks(Window(0, 0, 20, 20))))
    assert block.source is None
    pixels, valid = block.resample(PIXELS[:0, :0], Window(0, 0, 0, 0), nodata=-1.0)
    assert (pixels == -1).all()
    assert pixels.shape == valid.shape == (20, 20)
    assert not valid.any()


def test_no_pixels_at_all():
    for source, target in ((Grid(0, 5, UTM, None), SIZE), (SIZE, Grid(5, 0, UTM, None))):
        assert list(plan_warp(source, target, Resampling.BILINEAR).blocks()) == []


def squeezed(x, y):
    return x + (x - 600000) ** 2 / 4e4, y + np.sin(x / 300)


def test_places_are_off_by_no_more_than_the_tolerance():
    y = np.arange(50) + 0.5
    exact = Transformer(UTM, Affine(10, 0, 600000, 0, -10, 5200000), squeezed)
    columns = np.arange(700) + 0.5
    x_exact, y_exact = exact.exact(np.broadcast_to(columns, (50, 700)), np.broadcast_to(y[:, None], (50, 700)))
    lines = Scanlines(exact, 0.5, 700, y)
    x, places_y = lines.places(slice(0, 50), slice(0, 700))
    assert np.abs(x - x_exact).max() + np.abs(places_y - y_exact).max() < 4 * exact.tolerance
    assert np.abs(x - x_exact).max() > 0
    # The ends of a row are exact, and part of it is no other than in the whole.
    np.testing.assert_allclose(x[:, [0, -1]], x_exact[:, [0, -1]])
    part, _ = lines.places(slice(7, 9), slice(123, 456))
    np.testing.assert_array_equal(part, x[7:9, 123:456])


def test_places_that_do_not_project_are_nan_and_their_neighbours_are_exact():
    def half(x, y):
        return np.where(x > 603000, np.inf, x), np.where(x > 603000, np.inf, y)

    transformer = Transformer(UTM, UTM, half)
    x, y = Scanlines(transformer, 0.5, 600, np.array([3.5])).places(slice(0, 1), slice(0, 600))
    assert np.isnan(x[0, 300:]).all()
    assert np.isnan(y[0, 300:]).all()
    np.testing.assert_allclose(x[0, :300], np.arange(300) + 0.5)
