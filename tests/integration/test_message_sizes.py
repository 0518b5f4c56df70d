"""No message of a stream is above 16 MiB, which is what ADBC and many gRPC clients take; seen by a client that takes no more."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.flight as fl
import pytest

from rasterflight_protocol import pack
from rasterflight_protocol.v1 import read_pb2 as pb
from rasterflight_server.ingest import build_index
from support.scenes import noise, write_items, write_scene
from support.server import ServerProcess

SIDE = 4096
BANDS = ["B1", "B2", "B3", "B4"]
LIMIT = 16 << 20


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("large")
    for number, band in enumerate(BANDS):
        write_scene(folder / f"{band}.tif", noise(SIDE, SIDE, number))
    items = write_items(folder / "items.json", {"scene": {band: f"{band}.tif" for band in BANDS}})
    build_index(items, folder / "index", "large")
    with ServerProcess({"large": folder / "index"}) as server:
        yield server.url


AREAS = pb.Geometries(
    crs="EPSG:32631", bboxes={"values": [pb.BBox(minx=5e5, miny=5.65904e6, maxx=5.4096e5, maxy=5.7e6)]}
)
POINTS = {"crs": "EPSG:32631", "x": [5.2e5] * 5000, "y": [5.68e6] * 5000}
REQUESTS: dict[str, dict[str, Any]] = {
    "chips": {},
    "chips, large batches": {"batch_bytes": 8 << 20},
    "chips, compressed": {"batch_bytes": 8 << 20, "compression": pb.COMPRESSION_LZ4},
    "chips, masked": {"batch_bytes": 8 << 20, "geometries": AREAS, "grid": {"masked": True}},
    "chips, scaled": {"batch_bytes": 8 << 20, "grid": {"values": pb.VALUES_SCALED}},
    "chips, resampled": {
        "bands": ["B1"],
        "batch_bytes": 8 << 20,
        "grid": {"common": True, "resolution": [20], "resampling": pb.RESAMPLING_BILINEAR},
    },
    "pixels": {
        "layout": pb.LAYOUT_PIXELS,
        "batch_bytes": 8 << 20,
        "windows": {"values": [pb.Window(width=SIDE, height=512)]},
    },
    "outlines": {"layout": pb.LAYOUT_OUTLINES},
    "points": {"layout": pb.LAYOUT_POINTS, "points": POINTS | {"max_distance_pixels": 8, "neighbourhood": 2}},
    "records": {"layout": pb.LAYOUT_RECORDS, "bands": []},
}


@pytest.mark.parametrize("name", REQUESTS)
def test_messages_fit(url: str, name: str) -> None:
    request = pb.ReadRequest(**{"collection": "large", "bands": BANDS} | REQUESTS[name])
    options = [("grpc.max_receive_message_length", LIMIT)]
    with fl.connect(url, generic_options=options) as client:
        info = client.get_flight_info(fl.FlightDescriptor.for_command(pack(request)))
        rows = sum(chunk.data.num_rows for chunk in client.do_get(info.endpoints[0].ticket))
    assert rows == info.total_records
    if name == "chips":
        assert info.total_bytes == SIDE * SIDE * 2 * len(BANDS)


def test_the_limit_of_the_client_holds(url: str) -> None:
    descriptor = fl.FlightDescriptor.for_command(pack(pb.ReadRequest(collection="large", bands=BANDS)))
    with (
        fl.connect(url, generic_options=[("grpc.max_receive_message_length", 100)]) as client,
        pytest.raises(pa.ArrowInvalid, match="larger than max"),
    ):
        client.get_flight_info(descriptor)
