"""Parts of a read, and reads of everything but the pixels: what they leave out, and that the rest is the same."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.flight as fl
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from rasterflight._chips import read_chips
from rasterflight._rows import Chip
from rasterflight_protocol import pack
from rasterflight_protocol.v1.plan_pb2 import Plan
from rasterflight_protocol.v1.read_pb2 import (
    LAYOUT_OUTLINES,
    BBox,
    Filter,
    Geometries,
    GridOptions,
    ReadRequest,
    WkbList,
)
from support.patchwork import ALIKE, RECORDS, build_patchwork
from support.server import ServerProcess
from support.telemetry import stats

# its long side passes through corners of pixels, where rounding decides what is touched
TRIANGLE = shapely.Polygon([(700_200, 5_700_100), (701_800, 5_699_900), (701_200, 5_700_900)])
AREA = Geometries(crs="EPSG:32631", wkb=WkbList(values=[TRIANGLE.wkb]))
OWN = {"ids": ALIKE, "bands": ["red"]}
GRIDS: dict[str, tuple[dict[str, Any], GridOptions]] = {
    "own": (OWN, GridOptions()),
    "masked": (OWN, GridOptions(masked=True)),
    "touched": (OWN, GridOptions(all_touched=True)),
    "common": ({"bands": ["red", "scl"]}, GridOptions(common=True, all_touched=True)),
    "coarse": ({"bands": ["red"]}, GridOptions(common=True, resolution=[30])),
    "degrees": ({"bands": ["red"]}, GridOptions(target_crs="EPSG:4326", whole_areas=True)),
}


def request(ids: list[str] | None = None, **fields: Any) -> ReadRequest:
    return ReadRequest(collection="patchwork", filters=[Filter(ids=ids or list(RECORDS))], **fields)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_patchwork(tmp_path_factory.mktemp("patchwork"))


@pytest.fixture(scope="module")
def server(index: Path) -> Iterator[ServerProcess]:
    with ServerProcess({"patchwork": index}) as process:
        yield process


@pytest.fixture(scope="module")
def flight(server: ServerProcess) -> Iterator[fl.FlightClient]:
    with fl.connect(server.url) as client:
        yield client


def chips_of(flight: fl.FlightClient, message: ReadRequest) -> dict[tuple[str, ...], Chip]:
    try:
        table = flight.do_get(fl.Ticket(pack(message))).read_all()
    except fl.FlightServerError as error:
        if "not one pixel" not in str(error):
            raise
        return {}
    found = read_chips(table.to_batches(), table.schema)
    return {(chip.record_id, str(chip.geometry_id), *chip.pixels): chip for chip in found}


@pytest.fixture(scope="module")
def wholes(flight: fl.FlightClient) -> dict[tuple[str, bool], dict[tuple[str, ...], Chip]]:
    return {
        (name, areas): chips_of(flight, request(**fields, grid=grid, geometries=AREA if areas else None))
        for name, (fields, grid) in GRIDS.items()
        for areas in (False, True)
    }


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(GRIDS)),
    areas=st.booleans(),
    sides=st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(1, 90)] * 2),
    off=st.sampled_from([0.0, 0.3, -0.3]),
)
def test_a_part_holds_the_pixels_of_the_whole(
    flight: fl.FlightClient,
    wholes: dict[tuple[str, bool], dict[tuple[str, ...], Chip]],
    name: str,
    areas: bool,
    sides: tuple[int, int, int, int],
    off: float,
) -> None:
    fields, grid = GRIDS[name]
    chips = wholes[name, areas]
    a, _, c, _, e, f = next(iter(chips.values())).transform
    left, top, width, height = sides
    x, y = (c + a * (left + off), c + a * (left + width + off)), (f + e * (top + off), f + e * (top + height + off))
    part = GridOptions(part=BBox(minx=min(x), miny=min(y), maxx=max(x), maxy=max(y)))
    part.MergeFrom(grid)
    found = chips_of(flight, request(**fields, grid=part, geometries=AREA if areas else None))
    expected = {}
    for key, chip in chips.items():
        col, row = round((chip.transform[2] - c) / a), round((chip.transform[5] - f) / e)
        cols = slice(max(left - col, 0), max(left + width - col, 0))
        rows = slice(max(top - row, 0), max(top + height - row, 0))
        cut = {band: pixels[rows, cols] for band, pixels in chip.pixels.items()}
        if next(iter(cut.values())).size:
            expected[key] = cut, {band: mask[rows, cols] for band, mask in chip.masks.items()}
    assert list(found) == list(expected)
    for key, (pixels, masks) in expected.items():
        for band, array in pixels.items():
            np.testing.assert_array_equal(found[key].pixels[band], array)
        for band, mask in masks.items():
            np.testing.assert_array_equal(found[key].masks[band], mask)


def test_tiles_that_the_area_does_not_touch_are_not_read_for_a_part(
    server: ServerProcess, flight: fl.FlightClient
) -> None:
    corner = BBox(minx=700_000, miny=5_700_700, maxx=700_640, maxy=5_701_000)  # beside the triangle, in its bounds
    message = request(ids=["a"], bands=["red"], geometries=AREA, grid=GridOptions(part=corner))
    before = stats(server.url)["tiles_decoded"]
    [chip] = chips_of(flight, message).values()
    assert not chip.pixels["red"].any()
    assert stats(server.url)["tiles_decoded"] == before


@pytest.mark.parametrize("areas", [False, True])
@pytest.mark.parametrize("name", GRIDS)
def test_outlines_are_chips_without_pixels(
    server: ServerProcess,
    flight: fl.FlightClient,
    wholes: dict[tuple[str, bool], dict[tuple[str, ...], Chip]],
    name: str,
    areas: bool,
) -> None:
    fields, grid = GRIDS[name]
    message = request(**fields, grid=grid, geometries=AREA if areas else None, layout=LAYOUT_OUTLINES)
    before = stats(server.url)
    table = flight.do_get(fl.Ticket(pack(message))).read_all()
    assert stats(server.url)["tiles_decoded"] == before["tiles_decoded"]
    chips = wholes[name, areas].values()
    expected = [
        (chip.record_id, chip.datetime, chip.geometry_id, chip.crs, chip.transform, chip.height, chip.width)
        for chip in chips
    ]
    columns = ("record_id", "datetime", "geometry_id", "crs", "transform", "chip_height", "chip_width")
    assert list(zip(*(table[column].to_pylist() for column in columns), strict=True)) == expected
    assert all(table[band].null_count == len(table) for band in fields["bands"])
    assert set(table["height"].to_pylist()) == {0}
    message.layout = 0
    # To its end: the next test counts tiles.
    whole = flight.do_get(fl.Ticket(pack(message))).read_all()
    assert table.schema.equals(whole.schema, check_metadata=True)


def test_outlines_need_no_file(tmp_path: Path) -> None:
    index = build_patchwork(tmp_path)
    for file in tmp_path.glob("*.tif"):
        file.unlink()
    with ServerProcess({"patchwork": index}) as server, fl.connect(server.url) as flight:
        message = request(bands=["red"], grid=GridOptions(common=True), layout=LAYOUT_OUTLINES)
        assert flight.do_get(fl.Ticket(pack(message))).read_all().num_rows == len(RECORDS)
        info = flight.get_flight_info(fl.FlightDescriptor.for_command(pack(message)))
    plan = Plan.FromString(info.app_metadata)
    assert (plan.records, plan.chips, plan.rows, info.total_records) == (len(RECORDS),) * 4
    assert (plan.tiles, plan.bytes_to_fetch, plan.bytes_to_receive) == (0, 0, 0)
