"""Chips on other grids than those of the files."""

from conformance.cases.case import Call, Case, wkb
from conformance.cases.chips import BOX, FIRST, TRIANGLE
from conformance.cases.requests import box, boxes, read, shapes
from rasterflight_protocol.v1 import read_pb2 as pb

_GRID = {"crs": "EPSG:3857", "transform": [3000, 0, -8_250_000, 0, -3000, 4_990_000], "width": 12, "height": 10}


def _warped(**grid: object) -> pb.ReadRequest:
    bands = sorted({"red", *grid.get("band_resampling", {})})
    return read("ny", bands, geometries=boxes(BOX), ids=[FIRST], grid={"common": True} | grid)


def _call(bands: tuple[str, ...] = ("red",), **keywords: object) -> Call:
    return Call({"geometries": BOX, "bands": bands, "ids": [FIRST], **keywords})


CASES = [
    Case(
        "grids/nearest",
        "another CRS, pixels of 3 km whose corners lie on multiples of 3 km, nearest",
        _warped(target_crs="EPSG:3857", resolution=[3000], anchor=[0], resampling=pb.RESAMPLING_NEAREST),
        _call(target_crs="EPSG:3857", resolution=3000, align=0, resampling="nearest"),
    ),
    Case(
        "grids/bilinear",
        "bilinear makes float32 of integers, NaN where there is nothing",
        _warped(target_crs="EPSG:3857", resolution=[3000], anchor=[0], resampling=pb.RESAMPLING_BILINEAR),
        _call(target_crs="EPSG:3857", resolution=3000, align=0, resampling="bilinear"),
    ),
    Case(
        "grids/cubic",
        "cubic, in the CRS of the records, onto finer pixels",
        _warped(resolution=[1000, 1500], anchor=[0, 0], resampling=pb.RESAMPLING_CUBIC),
        _call(resolution=[1000, 1500], align=[0, 0], resampling="cubic"),
    ),
    Case(
        "grids/average",
        "coarser pixels by average, out of an overview where there is one that fits",
        _warped(resolution=[12000], anchor=[0], resampling=pb.RESAMPLING_AVERAGE),
        _call(resolution=12000, align=0, resampling="average"),
    ),
    Case(
        "grids/mode",
        "the most frequent value; integers stay integers",
        _warped(resolution=[12000], anchor=[0], resampling=pb.RESAMPLING_MODE),
        _call(resolution=12000, align=0, resampling="mode"),
    ),
    Case(
        "grids/by-band",
        "a resampling of its own for one band",
        _warped(
            target_crs="EPSG:3857",
            resolution=[3000],
            anchor=[0],
            resampling=pb.RESAMPLING_BILINEAR,
            band_resampling={"qa": pb.RESAMPLING_NEAREST},
        ),
    ),
    Case(
        "grids/bounds",
        "the extent of the grid",
        _warped(
            target_crs="EPSG:3857",
            resolution=[3000],
            bounds=box((-8_250_000, 4_960_000, -8_214_000, 4_990_000)),
            resampling=pb.RESAMPLING_NEAREST,
        ),
        _call(
            target_crs="EPSG:3857",
            resolution=3000,
            bounds=(-8_250_000, 4_960_000, -8_214_000, 4_990_000),
            resampling="nearest",
        ),
    ),
    Case(
        "grids/grid",
        "the grid itself, for all records",
        read(
            "ny",
            ["red"],
            geometries=boxes(BOX),
            grid={"common": True, "grid": _GRID, "resampling": pb.RESAMPLING_NEAREST},
        ),
        Call({"geometries": BOX, "bands": ["red"], "like": _GRID, "resampling": "nearest"}),
    ),
    Case(
        "grids/whole-areas",
        "chips cover all of their area, and are all of one shape",
        read(
            "ny",
            ["red"],
            geometries=boxes((-75.2, 41.2, -74.6, 41.6)),
            grid={
                "common": True,
                "grid": _GRID | {"width": 40, "height": 60, "transform": [3000, 0, -8_380_000, 0, -3000, 5_110_000]},
                "resampling": pb.RESAMPLING_NEAREST,
                "whole_areas": True,
            },
        ),
    ),
    Case(
        "grids/part",
        "nothing outside of a part of the grid; the pixels inside are those of the whole",
        _warped(
            target_crs="EPSG:3857",
            resolution=[3000],
            anchor=[0],
            part=box((-8_250_000, 4_962_000, -8_232_000, 4_977_000)),
            resampling=pb.RESAMPLING_NEAREST,
        ),
    ),
    Case(
        "grids/masked-polygon",
        "a polygon on another grid, invalid pixels null",
        read(
            "ny",
            ["red"],
            geometries=shapes(TRIANGLE),
            ids=[FIRST],
            grid={
                "common": True,
                "target_crs": "EPSG:3857",
                "resolution": [3000],
                "anchor": [0],
                "resampling": pb.RESAMPLING_NEAREST,
                "masked": True,
            },
        ),
        Call(
            {
                "geometries": wkb(TRIANGLE),
                "bands": ["red"],
                "ids": [FIRST],
                "target_crs": "EPSG:3857",
                "resolution": 3000,
                "align": 0,
                "resampling": "nearest",
                "masked": True,
            }
        ),
    ),
]
