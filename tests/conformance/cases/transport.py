"""How rows travel: parts, batches, compression, snapshots, uploads, places to go on from, and what could not be read."""

import shapely

from conformance.cases.case import Call, Case
from conformance.cases.chips import BOX, FIRST, OTHER, TRIANGLE
from conformance.cases.requests import boxes, read, windows
from rasterflight_protocol.v1 import read_pb2 as pb

_BOXES = {"geometries": [BOX, OTHER], "bands": ["red"]}
_UPLOAD = tuple(map(shapely.to_wkb, (shapely.box(*BOX), TRIANGLE)))
_FIELD = {"geometries": boxes((-99.18, 47.005, -99.16, 47.02))}
_SECOND = {"snapshot": "{snapshot}", "batch_bytes": 4 << 20, "records": 1, "bytes": 224}


def _ny(**fields: object) -> pb.ReadRequest:
    return read("ny", ["red"], geometries=boxes(BOX, OTHER), **fields)


CASES = [
    Case("parts/first", "the first of two parts", _ny(shard={"index": 0, "count": 2})),
    Case("parts/second", "the second; both in order are the whole in order", _ny(shard={"index": 1, "count": 2})),
    Case("parts/empty", "more parts than records: some are empty", _ny(shard={"index": 0, "count": 40})),
    Case(
        "batches/blocks",
        "a chip that is larger than a batch comes in blocks of rows: row_off places them",
        read("naip", ["red"], ids=["m_4709963_se_14_1_20140720"], batch_bytes=1 << 16, **_FIELD),
        Call(
            {
                "geometries": (-99.18, 47.005, -99.16, 47.02),
                "bands": ["red"],
                "ids": ["m_4709963_se_14_1_20140720"],
                "batch_bytes": 65536,
            }
        ),
    ),
    Case(
        "compression/lz4",
        "LZ4: any Arrow library undoes it",
        _ny(compression=pb.COMPRESSION_LZ4),
        Call(_BOXES | {"compression": "lz4"}),
    ),
    Case("compression/zstd", "Zstandard", _ny(compression=pb.COMPRESSION_ZSTD), Call(_BOXES | {"compression": "zstd"})),
    Case("snapshot/current", "a ticket for the snapshot that is served", _ny(snapshot="{snapshot}")),
    Case(
        "upload/areas",
        "areas that went up before, by the id of the upload",
        read("ny", ["red"], geometries=pb.Geometries(crs="OGC:CRS84", upload="{upload}")),
        upload=_UPLOAD,
    ),
    Case(
        "start/second-record",
        "a read goes on after the first record, from the position that a batch came with",
        _ny(start=_SECOND),
        only="DoGet",
    ),
    Case("start/planned", "a plan is that of a whole read", _ny(start=_SECOND), only="GetFlightInfo"),
    Case(
        "skip/broken",
        "on_error skip: records that cannot be read are rows with an error and null bands",
        read("broken", ["value"], windows=windows((40, 10, 10, 22)), on_error=pb.ON_ERROR_SKIP),
        Call({"windows": [[40, 10, 10, 22]], "bands": ["value"], "on_error": "skip"}),
    ),
    Case(
        "skip/nothing-broken",
        "the column error is there, and null",
        read("ny", ["red"], geometries=boxes(BOX), ids=[FIRST], on_error=pb.ON_ERROR_SKIP),
    ),
    Case(
        "skip/points",
        "the same for points",
        pb.ReadRequest(
            collection="broken",
            bands=["value"],
            layout=pb.LAYOUT_POINTS,
            points={"crs": "OGC:CRS84", "x": [-74.0], "y": [40.7]},
            on_error=pb.ON_ERROR_SKIP,
        ),
    ),
    Case(
        "defaults/least",
        "a ticket that says no more than it must",
        pb.ReadRequest(collection="ny", bands=["red"], geometries=boxes(BOX)),
    ),
]
