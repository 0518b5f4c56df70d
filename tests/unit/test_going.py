"""What takes long asks whether it is to go on, often enough, and ends when it is not."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow.flight as fl
import pytest
import shapely
from affine import Affine

from rasterflight_protocol import ErrorCode, pack
from rasterflight_protocol.v1.read_pb2 import (
    LAYOUT_POINTS,
    LAYOUT_RECORDS,
    ON_ERROR_SKIP,
    BBox,
    BBoxes,
    Geometries,
    GridOptions,
    Points,
    ReadRequest,
    WkbList,
)
from rasterflight_server.errors import ServiceError
from rasterflight_server.flight.infos import read_info
from rasterflight_server.plan.crs import transform_points
from rasterflight_server.types import Grid
from rasterflight_server.warp import Resampling, plan_warp
from support.direct import Direct, direct
from support.scenes import noise, write_scene

WEST, NORTH, UTM = 500_000, 5_700_000, "EPSG:32631"
SCENES = 3


class Patience:
    """Lets work go on so many times."""

    def __init__(self, most: int | None = None) -> None:
        self.asked = 0
        self._most = most

    def __call__(self) -> None:
        self.asked += 1
        if self._most is not None and self.asked > self._most:
            raise ServiceError(ErrorCode.DEADLINE, "no longer")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Direct]:
    folder = tmp_path_factory.mktemp("files")
    for number in range(SCENES):
        write_scene(folder / f"r{number}.tif", noise(256, 256, number), tile=128)
    with direct(folder, tmp_path_factory.mktemp("index")) as made:
        yield made


def boxes(count: int) -> Geometries:
    values = [
        BBox(minx=west, miny=NORTH - 500, maxx=west + 400, maxy=NORTH - 100)
        for west in range(WEST, WEST + 7 * count, 7)
    ]
    return Geometries(crs=UTM, bboxes=BBoxes(values=values))


def polygons(count: int) -> Geometries:
    area = shapely.box(3.001, 51.44, 3.01, 51.449)
    return Geometries(crs="OGC:CRS84", wkb=WkbList(values=[area.wkb] * count))


#: What is asked for, and how often it must be asked whether to go on, before anything is read.
ASKED: dict[str, tuple[dict[str, Any], int]] = {
    "records one by one": ({}, 3 * SCENES),
    "rows of the index": ({"layout": LAYOUT_RECORDS, "bands": [], "geometries": boxes(1)}, 2),
    "areas that are parsed and projected": ({"geometries": polygons(40_000)}, 4 * 3),
    "windows on another grid": (
        {"geometries": boxes(50), "grid": GridOptions(target_crs="EPSG:3857", resolution=[7])},
        50,
    ),
    "windows on another grid in the same CRS": ({"geometries": boxes(50), "grid": GridOptions(resolution=[7])}, 50),
    "points": ({"layout": LAYOUT_POINTS, "points": Points(crs=UTM, x=[WEST + 5.0], y=[NORTH - 5.0])}, SCENES),
}


def plan(files: Direct, patience: Patience, fields: dict[str, Any]) -> None:
    command = pack(ReadRequest(collection="files", **{"bands": files.bands("r0"), **fields}))
    request, collection = files.service.request(command, go_on=patience)
    read_info(files.service, collection, request, fl.FlightDescriptor.for_command(command))


@pytest.mark.parametrize("what", list(ASKED))
def test_planning_ends_wherever_it_is(files: Direct, what: str) -> None:
    fields, least = ASKED[what]
    whole = Patience()
    plan(files, whole, fields)
    assert whole.asked >= least
    for most in {0, 1, whole.asked // 2, whole.asked - 1}:
        for on_error in ({}, {"on_error": ON_ERROR_SKIP}):
            patience = Patience(most)
            with pytest.raises(ServiceError, match="no longer") as caught:
                plan(files, patience, fields | on_error)
            assert caught.value.code is ErrorCode.DEADLINE


def test_warping_ends_between_blocks(files: Direct) -> None:
    command = pack(
        ReadRequest(
            collection="files",
            bands=files.bands("r0"),
            grid=GridOptions(target_crs="EPSG:3857", resolution=[4]),
            on_error=ON_ERROR_SKIP,
        )
    )
    whole = Patience()
    request, collection = files.service.request(command, go_on=whole)
    stream = files.service.chips(collection, request)
    before = whole.asked
    pixels = sum(
        sum(batch["height"].to_numpy() * batch["width"].to_numpy()) for batch, _ in stream.batches(lambda: None)
    )
    assert whole.asked - before > pixels / (1 << 15)
    half = Patience(before + (whole.asked - before) // 2)
    request, collection = files.service.request(command, go_on=half)
    with pytest.raises(ServiceError, match="no longer"):
        list(files.service.chips(collection, request).batches(lambda: None))


def test_blocks_are_small_where_their_pixels_are_made_of_many() -> None:
    def rows(shrunk: int) -> set[int]:
        source = Grid(64 * shrunk, 64 * shrunk, Affine(1, 0, 0, 0, -1, 0), None)
        target = Grid(64, 64, Affine(shrunk, 0, 0, 0, -shrunk, 0), None)
        return {block.target.height for block in plan_warp(source, target, Resampling.AVERAGE).blocks()}

    assert rows(10) == {64}
    assert max(rows(100)) * 64 * 100 * 100 <= 1 << 23


def test_points_are_projected_some_at_a_time() -> None:
    patience = Patience()
    points = np.tile([3.0, 51.0], (200_000, 1))
    projected = transform_points(points, "OGC:CRS84", UTM, patience)
    assert patience.asked == 4
    assert (projected == projected[0]).all()
    with pytest.raises(ServiceError):
        transform_points(points, "OGC:CRS84", UTM, Patience(1))
