"""sample_points through a real server against rasterio: every bundled scene, and scenes with holes against brute force."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import rasterio
import rasterio.transform
import rasterio.warp
from affine import Affine

import rasterflight as rf
from conftest import COLLECTIONS
from support import oracle
from support.scenes import write_items, write_scene
from support.server import ServerProcess, run_server_command

Row = tuple[int, str, str, float]
COUNT = 300


@pytest.fixture(params=sorted(COLLECTIONS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(data: Path, name: str) -> Path:
    return data / COLLECTIONS[name]


def around(folder: Path) -> tuple[np.ndarray, str]:
    """Points in and around the first record, some of them on corners and edges of pixels; and their CRS."""
    rng = np.random.default_rng(5)
    with rasterio.open(oracle.layers(folder)[0].path) as dataset:
        pixels = rng.uniform(-0.1, 1.1, (COUNT, 2)) * (dataset.width, dataset.height)
        pixels[::5] = np.round(pixels[::5])
        pixels[1::5, 0] = np.round(pixels[1::5, 0])
        x, y = dataset.transform @ (pixels[:, 0], pixels[:, 1])
        return np.column_stack([x, y]), dataset.crs.to_string()


def expected(folder: Path, names: list[str], points: np.ndarray, crs: str) -> list[Row]:
    """Rows by record, point and band."""
    layers = oracle.layers(folder)
    rows: list[Row] = []
    for record in dict.fromkeys(layer.record_id for layer in layers):
        found: dict[tuple[int, int], float] = {}
        for layer in layers:
            if layer.record_id == record:
                with rasterio.open(layer.path) as dataset:
                    x, y = points.T if dataset.crs == crs else rasterio.warp.transform(crs, dataset.crs, *points.T)
                    values = dataset.sample(zip(x, y, strict=True), indexes=layer.index)
                    at = zip(*rasterio.transform.rowcol(dataset.transform, x, y), strict=True)
                    for point, ((row, col), value) in enumerate(zip(at, values, strict=True)):
                        if 0 <= row < dataset.height and 0 <= col < dataset.width:
                            found[point, names.index(layer.band)] = float(value[0])
        rows += [(point, record, names[band], found[point, band]) for point, band in sorted(found)]
    return rows


def rows_of(table: pa.Table) -> list[Row]:
    return list(zip(*(table[key].to_pylist() for key in ("point_index", "record_id", "band", "value")), strict=True))


def test_every_collection(client: rf.Client, name: str, folder: Path) -> None:
    points, crs = around(folder)
    names = oracle.bands(folder)
    table = client.collection(name).sample_points(points, names, geometry_crs=crs)
    rows = expected(folder, names, points, crs)
    assert len(rows) > COUNT / 2
    assert repr(rows_of(table)) == repr(rows)  # NaN is NaN
    assert table["point_x"].to_pylist() == points[table["point_index"], 0].tolist()
    assert table["point_y"].to_pylist() == points[table["point_index"], 1].tolist()
    codes = {int(crs.removeprefix("EPSG:"))}
    assert set(table["point_crs"].to_pylist()) == set(table["raster_crs"].to_pylist()) == codes
    assert set(table["collection"].to_pylist()) == {name}


def test_lon_lat(client: rf.Client, data: Path) -> None:
    folder = data / COLLECTIONS["ny"]
    points, crs = around(folder)
    lonlat = np.column_stack(rasterio.warp.transform(crs, "OGC:CRS84", *points.T))
    table = client.collection("ny").sample_points(lonlat, ["red"])
    assert set(table["point_crs"].to_pylist()) == {4326}
    # on an edge, the way there and back decides on which side a point falls
    inner = [row for row in expected(folder, oracle.bands(folder), lonlat, "OGC:CRS84") if row[2] == "red"]
    clear = {point for point in range(COUNT) if point % 5 > 1}
    assert [row for row in rows_of(table) if row[0] in clear] == [row for row in inner if row[0] in clear]


HOLES = np.random.default_rng(2).random((6, 90, 70)) < 0.6
VALUES = np.random.default_rng(3).integers(1, 60_000, (6, 90, 70)).astype(np.uint16)
PIXELS = np.where(HOLES, 0, VALUES).astype(np.uint16)
# pixels of 10 by 20, so that nearest in pixels is not nearest on the ground
TRANSFORM = Affine(10, 0, 500_000, 0, -20, 5_700_000)
POINTS = np.column_stack(
    [
        np.random.default_rng(4).uniform(499_990, 500_710, 400),
        np.random.default_rng(6).uniform(5_698_190, 5_700_010, 400),
    ]
)
BANDS = ["A", "B"]


@pytest.fixture(scope="module")
def holes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rf.Collection]:
    """Three records of two bands, 60 % of it nodata."""
    folder = tmp_path_factory.mktemp("holes")
    records: dict[str, dict[str, str]] = {}
    for number, pixels in enumerate(PIXELS):
        href = f"{number}.tif"
        write_scene(folder / href, pixels, tile=16, transform=TRANSFORM, nodata=0)
        records.setdefault(f"r{number // 2}", {})[BANDS[number % 2]] = href
    items = write_items(folder / "items.json", records)
    done = run_server_command("index", items, "--out", folder / "index", "--name", "holes")
    assert done.returncode == 0, done.stderr
    with ServerProcess({"holes": folder / "index"}) as server, rf.connect(server.url) as client:
        yield client.collection("holes")


def pixel_of(point: np.ndarray) -> tuple[int, int] | None:
    col, row = (int(np.floor(value)) for value in ~TRANSFORM @ tuple(point))
    return (row, col) if 0 <= row < 90 and 0 <= col < 70 else None


def nearest(pixels: np.ndarray, point: np.ndarray, distance: int) -> tuple[float, bool]:
    """The value at a point, and whether it is valid; by looking at each pixel around."""
    row, col = pixel_of(point)
    if pixels[row, col] != 0 or distance == 0:
        return float(pixels[row, col]), bool(pixels[row, col] != 0)
    best, found = np.inf, 0.0
    for r in range(max(0, row - distance), min(90, row + distance + 1)):
        for c in range(max(0, col - distance), min(70, col + distance + 1)):
            left, top = TRANSFORM @ (c, r)
            dx = max(left - point[0], point[0] - (left + 10), 0)
            dy = max(top - 20 - point[1], point[1] - top, 0)
            if pixels[r, c] != 0 and dx**2 + dy**2 < best - 1e-9:
                best, found = dx**2 + dy**2, float(pixels[r, c])
    return found, found != 0


@pytest.mark.parametrize("distance", [0, 1, 2, 5])
def test_nearest_valid_pixel(holes: rf.Collection, distance: int) -> None:
    table = holes.sample_points(POINTS, BANDS, geometry_crs=32631, max_distance_pixels=distance)
    rows = [
        (point, f"r{record}", BANDS[band], nearest(PIXELS[2 * record + band], POINTS[point], distance)[0])
        for record in range(3)
        for point in range(len(POINTS))
        if pixel_of(POINTS[point])
        for band in range(2)
    ]
    assert rows_of(table) == rows


@pytest.mark.parametrize("distance", [0, 1])
@pytest.mark.parametrize("bands", [["A"], ["B", "A"]])
def test_latest(holes: rf.Collection, distance: int, bands: list[str]) -> None:
    table = holes.sample_points(POINTS, bands, geometry_crs=32631, match="latest", max_distance_pixels=distance)
    rows = []
    for point in range(len(POINTS)):
        if pixel_of(POINTS[point]):
            for band in bands:
                of_record = [nearest(PIXELS[2 * n + BANDS.index(band)], POINTS[point], distance) for n in range(3)]
                record = next((n for n in (2, 1, 0) if of_record[n][1]), 2)
                rows.append((record, point, bands.index(band), of_record[record][0]))
    assert rows_of(table) == [(point, f"r{record}", bands[band], value) for record, point, band, value in sorted(rows)]
    assert {row[0] for row in rows} == {0, 1, 2}


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("which", ["always", "if_center_nodata"])
def test_neighbourhood(holes: rf.Collection, which: str, masked: bool) -> None:
    table = holes.sample_points(
        POINTS, ["B"], geometry_crs=32631, max_distance_pixels=2, return_neighbourhood=which, masked=masked, ids="r1"
    )
    padded = np.full((94, 74), np.nan)
    padded[2:-2, 2:-2] = np.where(masked & (PIXELS[3] == 0), np.nan, PIXELS[3])
    for point, window in zip(table["point_index"].to_pylist(), table["neighbourhood_values"].to_pylist(), strict=True):
        row, col = pixel_of(POINTS[point])
        if which == "if_center_nodata" and PIXELS[3][row, col] != 0:
            assert window is None
            continue
        truth = padded[row : row + 5, col : col + 5].reshape(-1)
        assert window == [None if np.isnan(value) else value for value in truth]
    assert table["neighbourhood_values"].null_count == (0 if which == "always" else pytest.approx(140, abs=40))


def test_masked(holes: rf.Collection) -> None:
    table = holes.sample_points(POINTS, ["A"], geometry_crs=32631, ids="r0", masked=True)
    values = [float(PIXELS[0][pixel_of(point)]) or None for point in POINTS if pixel_of(point)]
    assert table["value"].to_pylist() == values
    filled = holes.sample_points(POINTS, ["A"], geometry_crs=32631, ids="r0", masked=True, max_distance_pixels=3)
    assert filled["value"].null_count == 0
    scaled = holes.sample_points(POINTS, ["A"], geometry_crs=32631, ids="r0", values="scaled")
    assert [None if np.isnan(value) else value for value in scaled["value"].to_pylist()] == values


def test_masks_in_the_file_and_nan(tmp_path: Path) -> None:
    """A mask of its own tells which pixels are invalid; so does NaN, where the nearest valid pixel is looked for."""
    pixels = np.arange(16, dtype=np.float32).reshape(4, 4)
    pixels[1, 1] = np.nan
    mask = np.full((4, 4), 255, np.uint8)
    mask[2, 2] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", width=4, height=4, count=1, dtype="float32", crs="EPSG:32631",
        transform=Affine(10, 0, 500_000, 0, -10, 5_700_000),
    ) as dataset:  # fmt: skip
        dataset.write(pixels, 1)
        dataset.write_mask(mask)
    items = write_items(tmp_path / "items.json", {"r": {"B": "a.tif"}})
    assert run_server_command("index", items, "--out", tmp_path / "index", "--name", "m").returncode == 0
    # in row 1, column 1, close to (1, 2); in (2, 2), as close to (1, 2) as to (2, 1)
    points = [(500_016, 5_699_985), (500_024, 5_699_976)]
    with rf.local({"m": tmp_path / "index"}) as client:
        collection = client.collection("m")
        plain = collection.sample_points(points, "B", geometry_crs=32631, masked=True)
        assert np.isnan(plain["value"][0].as_py())
        assert plain["value"][1].as_py() is None
        near = collection.sample_points(points, "B", geometry_crs=32631, max_distance_pixels=1)
        assert near["value"].to_pylist() == [6.0, 6.0]
