"""Many areas in one request: the pixels are rasterio's, and no tile is fetched or decoded twice, however they come."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
import tifffile
from affine import Affine
from rasterio.features import geometry_mask, geometry_window

from rasterflight._rows import Chip
from rasterflight_protocol.v1.read_pb2 import ON_ERROR_SKIP, Geometries, ReadRequest, Windows
from rasterflight_server.encode import schedule, stream
from rasterflight_server.plan.estimate import estimate
from rasterflight_server.plan.planner import plan_read
from rasterflight_server.read import reader
from support.direct import Direct, direct

SIDE = 480
WEST, NORTH = 500_000, 5_700_000
UTM = "EPSG:32631"
KIB = 1 << 10
SMALL_BATCHES = 64 * KIB


@dataclass(frozen=True)
class Kind:
    """How a file is laid out."""

    count: int = 1
    dtype: str = "uint16"
    pixel: float = 10
    nodata: float | None = None
    mask: bool = False
    profile: tuple[tuple[str, object], ...] = (("tiled", True), ("blockxsize", 32), ("blockysize", 32))


KINDS = {
    "tiles": Kind(nodata=7),
    "strips": Kind(dtype="float32", profile=(("blockysize", 16),)),
    "interleaved": Kind(count=4, dtype="uint8", profile=(*Kind().profile, ("interleave", "pixel"))),
    "planes": Kind(
        count=3, profile=(*Kind().profile, ("interleave", "band"), ("compress", "deflate"), ("predictor", 2))
    ),
    "masked": Kind(count=2, mask=True, profile=(*Kind().profile, ("compress", "zstd"))),
}


def write(path: Path, kind: Kind, seed: int) -> None:
    side = int(SIDE * 10 / kind.pixel)
    shape = {"width": side, "height": side, "count": kind.count, "dtype": kind.dtype, "nodata": kind.nodata}
    place = {"crs": UTM, "transform": Affine(kind.pixel, 0, WEST, 0, -kind.pixel, NORTH)}
    rng = np.random.default_rng(seed)
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", driver="GTiff", **shape, **place, **dict(kind.profile)) as dataset,
    ):
        dataset.write(rng.integers(1, 250, (kind.count, side, side)).astype(kind.dtype))
        if kind.mask:
            dataset.write_mask(rng.random((side, side)) < 0.8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    for seed, (name, kind) in enumerate(KINDS.items()):
        write(folder / f"{name}.tif", kind, seed)
    return folder


@pytest.fixture(scope="module")
def files(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Direct]:
    with direct(folder, tmp_path_factory.mktemp("index")) as made:
        yield made


def polygons(count: int, *, ordered: bool = False, reach: float = 130) -> np.ndarray:
    """Small areas all over the rasters, some across their borders, some crossing themselves, a few with a hole."""
    rng = np.random.default_rng(count)
    x, y = rng.uniform(WEST - 50, WEST + 4850, count), rng.uniform(NORTH - 4850, NORTH + 50, count)
    if ordered:
        order = np.lexsort((x // 320, -y // 320))
        x, y = x[order], y[order]
    corners = rng.uniform(-reach, reach, (count, 6, 2)) + np.stack([x, y], axis=1)[:, None]
    areas = shapely.polygons(np.concatenate([corners, corners[:, :1]], axis=1))
    areas[::50] = [shapely.Polygon(area.envelope.exterior, [area.envelope.buffer(-9).exterior]) for area in areas[::50]]
    areas[7] = shapely.box(WEST - 100, NORTH - 4900, WEST + 4900, NORTH + 100)  # larger than a batch
    return areas


def request(areas: np.ndarray, **fields: object) -> ReadRequest:
    wkb = {"values": list(shapely.to_wkb(areas))}
    return ReadRequest(geometries=Geometries(crs=UTM, wkb=wkb), batch_bytes=SMALL_BATCHES, **fields)


def decoded(files: Direct, record: str, message: ReadRequest, **grid: object) -> tuple[list[Chip], int, int]:
    """Chips, tiles decoded, and tiles that the plan knows."""
    count = files.service.telemetry.snapshot
    plan = estimate(plan_read(files.collection, files.request(record, None, message, **grid)))
    before = count()
    chips, _ = files.read(record, None, message, **grid)
    after = count()
    assert after["requests"] - before["requests"] <= after["tiles_decoded"] - before["tiles_decoded"]
    return chips, after["tiles_decoded"] - before["tiles_decoded"], plan.tiles


def check(chips: list[Chip], areas: np.ndarray, path: Path, *, all_touched: bool = False, masked: bool = False) -> None:
    """Every chip is what rasterio cuts out, and none is missing."""
    found = {chip.geometry_id: chip for chip in chips}
    assert list(found) == sorted(found)
    with rasterio.open(path) as dataset:
        whole, valid = dataset.read(), dataset.read_masks() > 0
        fill = 0 if dataset.nodata is None else dataset.nodata
        for number, area in enumerate(areas, 1):
            try:
                window = geometry_window(dataset, [area])
            except rasterio.errors.WindowError:
                assert number not in found
                continue
            chip, cut = found.pop(number), (slice(None), *window.toslices())
            transform = dataset.window_transform(window)
            shape = (window.height, window.width)
            outside = geometry_mask([area], shape, transform, all_touched=all_touched)
            expected = np.where(outside, np.array(fill, dataset.dtypes[0]), whole[cut])
            assert np.array_equal(list(chip.pixels.values()), expected), number
            assert chip.transform == list(transform)[:6]
            if masked:
                assert np.array_equal(list(chip.masks.values()), ~valid[cut] | outside), number
    assert not found


@pytest.mark.parametrize(("kind", "ordered"), [*((kind, False) for kind in KINDS), ("tiles", True)])
def test_each_tile_once(files: Direct, folder: Path, kind: str, ordered: bool) -> None:
    areas = polygons(600, ordered=ordered)
    masked = kind in ("tiles", "masked")
    chips, count, known = decoded(files, kind, request(areas), masked=masked)
    assert count == known
    check(chips, areas, folder / f"{kind}.tif", masked=masked)


def test_all_touched(files: Direct, folder: Path) -> None:
    # GDAL 3.10 and older differ in what touches: tests/parity/test_masks.py tells where
    rng = np.random.default_rng(4)
    x, y = WEST + 10 * rng.integers(0, 440, 400) + 3, NORTH - 10 * rng.integers(40, 480, 400) + 4
    areas = shapely.box(x, y, x + rng.uniform(1, 300, 400), y + rng.uniform(1, 300, 400))
    chips, _, _ = decoded(files, "tiles", request(areas), all_touched=True)
    check(chips, areas, folder / "tiles.tif", all_touched=True)


def group_sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many batches are started together, each time."""
    sizes = []
    start = stream.ChipsStream._start

    def counting(self: stream.ChipsStream, group: schedule.Group) -> list:
        sizes.append(len(group.batches))
        return start(self, group)

    monkeypatch.setattr(stream.ChipsStream, "_start", counting)
    return sizes


def limit(monkeypatch: pytest.MonkeyPatch, *, tiles: int | None = None, group: int | None = None) -> None:
    """Let a stream keep fewer bytes of tiles, and start fewer bytes together."""
    if tiles is not None:
        for module in (reader, schedule, stream):
            monkeypatch.setattr(module, "RETAINED_BYTES", tiles)
    if group is not None:
        for module in (schedule, stream):
            monkeypatch.setattr(module, "GROUP_BYTES", group)


def test_areas_in_any_order_are_started_together(files: Direct, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = group_sizes(monkeypatch)
    areas = polygons(1500, reach=40)
    areas[7] = areas[8]
    chips, count, known = decoded(files, "tiles", request(areas))
    assert count == known
    assert max(sizes) > 1, "nearly all tiles would have waited, and they are more than the pixels"
    sizes.clear()
    chips, count, known = decoded(files, "tiles", request(polygons(1500, ordered=True, reach=40)))
    assert count == known
    assert max(sizes) == 1, "neighbours come one after the other"
    limit(monkeypatch, tiles=0)
    chips, count, known = decoded(files, "tiles", request(polygons(500)))
    assert count == known
    check(chips, polygons(500), folder / "tiles.tif")


def test_where_the_pixels_are_too_many_tiles_are_kept(
    files: Direct, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = group_sizes(monkeypatch)
    limit(monkeypatch, group=100 * KIB)
    areas = polygons(500)
    chips, count, known = decoded(files, "tiles", request(areas))
    assert (count, max(sizes)) == (known, 1)
    check(chips, areas, folder / "tiles.tif")


def test_only_where_both_are_too_many_tiles_are_decoded_again(
    files: Direct, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = group_sizes(monkeypatch)
    limit(monkeypatch, tiles=20 * KIB, group=300 * KIB)
    areas = polygons(500)
    chips, count, known = decoded(files, "tiles", request(areas))
    assert known < count <= known * len(sizes)
    assert 1 < max(sizes) < 9
    check(chips, areas, folder / "tiles.tif")


def test_windows_that_overlap(files: Direct, folder: Path) -> None:
    rng = np.random.default_rng(1)
    windows = [(int(col), int(row), 41, 33) for col, row in rng.integers(-20, SIDE, (500, 2))]
    values = [dict(zip(("col_off", "row_off", "width", "height"), window, strict=True)) for window in windows]
    message = ReadRequest(windows=Windows(values=values), batch_bytes=SMALL_BATCHES)
    chips, count, known = decoded(files, "interleaved", message)
    assert count == known
    with rasterio.open(folder / "interleaved.tif") as dataset:
        whole = dataset.read()
    found = {chip.geometry_id: list(chip.pixels.values()) for chip in chips}
    for number, (col, row, width, height) in enumerate(windows, 1):
        expected = whole[:, max(row, 0) : max(row + height, 0), max(col, 0) : max(col + width, 0)]
        if expected.size:
            assert np.array_equal(found.pop(number), expected)
    assert not found


def test_several_grids(tmp_path: Path) -> None:
    """Bands of one record on grids of their own: rows come area by area, and each tile once."""
    (tmp_path / "in").mkdir()
    for name, kind in {"B1": Kind(), "B2": Kind(pixel=20), "B3": Kind(dtype="float32")}.items():
        write(tmp_path / "in" / f"r_{name}.tif", kind, seed=9)
    from rasterflight_server.catalog import Collection
    from rasterflight_server.flight.service import Service
    from rasterflight_server.ingest import build_index
    from rasterflight_server.settings import CacheSettings, Settings

    build_index(tmp_path / "in", tmp_path / "index", "files", pattern="{id}_{band}.tif")
    collection = Collection.open(tmp_path / "index")
    service = Service({"files": collection}, settings=Settings(cache=CacheSettings(memory=0)))
    files = Direct(service, collection)
    try:
        areas = polygons(300)
        chips, count, known = decoded(files, "r", request(areas))
    finally:
        service.workers.close()
    assert count == known
    for bands in (["B1", "B3"], ["B2"]):
        of_grid = [chip for chip in chips if list(chip.pixels) == bands]
        for band in bands:
            single = [
                Chip(*(getattr(chip, name) for name in chip.__slots__[:-2]), {band: chip.pixels[band]})
                for chip in of_grid
            ]
            check(single, areas, tmp_path / "in" / f"r_{band}.tif")


def test_no_area_on_a_damaged_tile_has_pixels(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "broken.tif"
    write(path, KINDS["planes"], seed=3)
    intact = shutil.copy(path, tmp_path / "intact.tif")
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        damaged = 4 * 15 + 6  # of the first plane
        offset, length = page.dataoffsets[damaged], page.databytecounts[damaged]
    with path.open("r+b") as raw:
        raw.seek(offset)
        raw.write(b"\xff" * length)
    areas = polygons(300, reach=60)
    areas[7] = areas[8]
    with direct(tmp_path / "in", tmp_path / "index") as files, rasterio.open(intact) as dataset:
        asked = files.request("broken", None, request(areas, on_error=ON_ERROR_SKIP))
        batches = [batch for batch, _ in files.service.chips(files.collection, asked).batches(lambda: None)]
        names = batches[0].schema.names[13:16]
        left, bottom, right, top = WEST + 6 * 320, NORTH - 5 * 320, WEST + 7 * 320, NORTH - 4 * 320
        spoilt = 0
        for row in (row for batch in batches for row in batch.to_pylist()):
            area = areas[row["geometry_id"] - 1]
            window = geometry_window(dataset, [area])
            if row["error"] is not None:
                spoilt += 1
                assert "tile 66" in row["error"]
                assert [row[name] for name in names] == [None] * 3
                continue
            assert not area.intersects(shapely.box(left, bottom, right, top).buffer(-5))
            outside = geometry_mask([area], (window.height, window.width), dataset.window_transform(window))
            for index, name in enumerate(names, 1):
                pixels = np.array(row[name]).reshape(outside.shape)
                assert np.array_equal(pixels, np.where(outside, 0, dataset.read(index, window=window)))
        assert 0 < spoilt < 300
