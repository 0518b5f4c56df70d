"""Items of well-known archives are indexed with the names, values and places that their readers expect."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.warp
import shapely

from rasterflight_protocol.v1.read_pb2 import VALUES_RAW, VALUES_SCALED, Filter
from rasterflight_server.catalog import BandEntry, Collection
from rasterflight_server.cli import main
from rasterflight_server.errors import RequestError
from rasterflight_server.ingest import BuildReport, build_index
from support import archives
from support.direct import opened

DATA = Path(__file__).parents[1] / "data"


def bounds(path: Path) -> tuple[float, float, float, float]:
    with rasterio.open(path) as file:
        return rasterio.warp.transform_bounds(file.crs, "OGC:CRS84", *file.bounds)


def build(tmp_path: Path, *items: dict, **options) -> tuple[BuildReport, Collection]:
    source = tmp_path / "items.json"
    source.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    report = build_index(source, tmp_path / "index", "test", **options)
    return report, Collection.open(tmp_path / "index")


def pixels(index: Path, record: str, band: str, values: int = VALUES_SCALED) -> np.ndarray:
    """All pixels of a record: physical values, NaN where there are none, unless told otherwise."""
    with opened(index) as reads:
        [chip], _ = reads.read(record, [band], values=values)
    (found,) = chip.pixels.values()
    return found


def physical(path: Path, band: int, scale: float, offset: float) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read(band, masked=True).astype("float64").filled(np.nan) * scale + offset


def scaling(band: BandEntry) -> tuple[float | None, float | None]:
    return band.scale, band.offset


class TestSentinel2:
    @pytest.fixture
    def b01(self, data: Path) -> Path:
        return data / "s2-34SGA-20200318" / "B01.tif"

    @pytest.fixture
    def tci(self, data: Path) -> Path:
        return data / "s2-34SGA-20200318" / "TCI.tif"

    @pytest.mark.parametrize(
        ("baseline", "applied", "offset"),
        [
            ("05.10", True, 0.0),
            ("05.10", False, -0.1),
            ("05.10", None, -0.1),
            ("04.00", False, -0.1),
            ("02.14", None, 0.0),
        ],
    )
    def test_earth_search(
        self, tmp_path: Path, b01: Path, tci: Path, baseline: str, applied: bool | None, offset: float
    ) -> None:
        entry = archives.earth_search_s2(str(b01), str(tci), bounds(b01), baseline=baseline, applied=applied)
        report, collection = build(tmp_path, entry)
        names = ["aot", "blue", "nir08", "scl_1", "scl_2", "scl_3", "red", "green", "visual_blue"]
        assert list(collection.bands) == names
        assert report.failures == ()
        assert scaling(collection.bands["blue"]) == scaling(collection.bands["nir08"]) == (0.0001, offset)
        assert scaling(collection.bands["aot"]) == (0.001, 0.0)
        assert scaling(collection.bands["scl_1"]) == (None, None)

    @pytest.mark.parametrize(("baseline", "offset"), [("02.14", 0.0), ("03.01", 0.0), ("04.00", -0.1), ("05.10", -0.1)])
    def test_planetary_computer(self, tmp_path: Path, b01: Path, tci: Path, baseline: str, offset: float) -> None:
        report, collection = build(tmp_path, archives.planetary_s2(str(b01), str(tci), bounds(b01), baseline=baseline))
        assert list(collection.bands) == ["AOT", "B02", "B05", "B06", "B09", "B04", "B03", "visual_B02"]
        assert report.failures == ()
        for name in ("B02", "B05", "B09"):
            assert scaling(collection.bands[name]) == (0.0001, offset)
        for name in ("AOT", "B04", "visual_B02"):
            assert scaling(collection.bands[name]) == (None, None)
        assert collection.resolve_band("blue").name == "B02"
        with pytest.raises(RequestError, match="band 'rededge' may be any of: 'B05', 'B06'"):
            collection.resolve_band("rededge")

    def test_reflectance_is_that_of_esa(self, tmp_path: Path, b01: Path, tci: Path) -> None:
        # The same pixels, as if before and after the change: 1000 counts are 0.1.
        entries = [archives.planetary_s2(str(b01), str(tci), bounds(b01), baseline=text) for text in ("03.01", "04.00")]
        build(tmp_path, *entries)
        before, after = (pixels(tmp_path / "index", entry["id"], "B02") for entry in entries)
        np.testing.assert_allclose(before, physical(b01, 1, 1e-4, 0.0), rtol=1e-6)
        np.testing.assert_allclose(after, physical(b01, 1, 1e-4, -0.1), rtol=1e-5, atol=1e-7)
        assert np.isfinite(after).any()

    def test_files_of_reflectance_are_left_alone(self, tmp_path: Path, b01: Path, tci: Path) -> None:
        with rasterio.open(b01) as file:
            profile = file.profile | {"dtype": "float32"}
            with rasterio.open(tmp_path / "float.tif", "w", **profile) as out:
                out.write(file.read(1).astype("float32"), 1)
        _, collection = build(tmp_path, archives.planetary_s2("float.tif", str(tci), bounds(b01)))
        assert scaling(collection.bands["B02"]) == (None, None)

    def test_stac_1_1(self, tmp_path: Path, b01: Path) -> None:
        entry = archives.stac_1_1(b01.as_uri(), bounds(b01))
        entry["assets"]["B04_10m"]["alternate"] = {"https": {"href": "https://h/x.tif"}, "file": {"href": b01.as_uri()}}
        report, collection = build(tmp_path, entry, prefer="file")
        assert (report.bands, report.failures, report.notices) == (("B04_10m",), (), ())
        assert [collection.resolve_band(name).name for name in ("red", "B04")] == ["B04_10m", "B04_10m"]
        assert scaling(collection.bands["B04_10m"]) == (0.0001, -0.1)


class TestLandsat:
    @pytest.mark.parametrize("requester_pays", [True, False])
    def test_level_2(self, tmp_path: Path, data: Path, requester_pays: bool) -> None:
        red = data / "landsat8-017037-20160503" / "red.tif"
        with rasterio.open(red) as file:
            shape, transform = [file.height, file.width], [*file.transform]
        entry = archives.landsat(red.as_uri(), bounds(red), shape, transform, requester_pays=requester_pays)
        report, collection = build(tmp_path, entry, prefer="file")
        assert (report.bands, report.failures) == (("red", "nir08", "qa_pixel"), ())
        assert [str(notice) for notice in report.notices] == [
            f"{entry['id']}/qa_pixel: nodata is 1 in the catalog and 0 in the file: the file counts"
        ]
        assert scaling(collection.bands["red"]) == (2.75e-05, -0.2)
        assert collection.bands["red"].unit == "reflectance"
        assert collection.resolve_band("OLI_B5").name == "nir08"
        found = pixels(tmp_path / "index", entry["id"], "OLI_B4")
        np.testing.assert_allclose(found, physical(red, 1, 2.75e-05, -0.2), rtol=1e-5, atol=1e-7)


def test_naip(tmp_path: Path, data: Path) -> None:
    image = data / "naip-nd-4709963" / "m_4709963_se_14_1_20190904.tif"
    entry = archives.naip(str(image), bounds(image))
    report, collection = build(tmp_path, entry)
    assert (report.bands, report.failures, report.notices) == (("Red", "Green", "Blue", "NIR"), (), ())
    assert [collection.resolve_band(name).name for name in ("red", "nir", "NIR")] == ["Red", "NIR", "NIR"]
    with rasterio.open(image) as file:
        np.testing.assert_array_equal(pixels(tmp_path / "index", entry["id"], "nir", VALUES_RAW), file.read(4))


def test_copernicus_dem(tmp_path: Path, data: Path) -> None:
    """The file is of another shape and CRS than the item says: the file counts, and it is said."""
    heights = data / "dem-alexandria" / "dsm.tif"
    report, collection = build(tmp_path, archives.copernicus_dem(str(heights), bounds(heights)))
    assert (report.bands, report.failures) == (("data",), ())
    with rasterio.open(heights) as file:
        rows, columns = file.shape
    name = "Copernicus_DSM_COG_10_N38_00_W078_00_DEM/data"
    assert [str(notice) for notice in report.notices] == [
        f"{name}: proj:shape is [3600, 3600] in the catalog and [{rows}, {columns}] in the file: the file counts",
        f"{name}: the CRS is EPSG:4326 in the catalog and EPSG:26918 in the file: the file counts",
    ]
    assert collection.manifest.crs[0].name == "EPSG:26918"


def test_every_property_can_be_asked_for(tmp_path: Path, data: Path) -> None:
    b01 = data / "s2-34SGA-20200318" / "B01.tif"
    _, collection = build(tmp_path, archives.earth_search_s2(str(b01), str(b01), bounds(b01)))
    for where in (
        '"eo:cloud_cover" < 20 AND "earthsearch:boa_offset_applied" = TRUE',
        '"s2:processing_baseline" >= \'04.00\' AND "mgrs:utm_zone" = 34',
        "A_CONTAINS(instruments, ('msi')) AND created > TIMESTAMP('2023-07-01T00:00:00Z')",
        "\"processing:software.sentinel2-to-stac\" = '0.1.0'",
    ):
        assert collection.select([Filter(where=where)]).num_rows == 1, where


@pytest.mark.parametrize("name", sorted(path.parent.name for path in DATA.glob("*/items.json")))
def test_collections_of_the_test_data(tmp_path: Path, name: str) -> None:
    report = build_index(DATA / name / "items.json", tmp_path / "index", name)
    assert (report.failures, report.notices) == ((), ())


def test_bad_input(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is a line, and the rest is built."""
    red = str(data / "landsat8-017037-20160503" / "red.tif")
    place = bounds(Path(red))
    when = {"datetime": "2024-01-01T00:00:00Z"}
    (tmp_path / "text.tif").write_text("no raster")
    without = archives.item("nowhere", place, when, {"red": {"href": red}}) | {"geometry": None}
    wrong = archives.item(
        "wrong", place, when, {"red": {"href": red}, "blue": {"href": "text.tif", "type": archives.COG}}
    )
    other = archives.item("other", place, when, {"red": {"href": red, "proj:shape": [1, 1]}})
    lines = "\n".join(map(json.dumps, [without, wrong, wrong, other]))
    (tmp_path / "items.ndjson").write_text(lines)
    assert main(["index", str(tmp_path / "items.ndjson"), "--out", str(tmp_path / "index"), "--name", "x"]) == 0
    with rasterio.open(red) as file:
        shape = list(file.shape)
    assert capsys.readouterr().out.splitlines() == [
        "x: 3 records, 3 files, bands red",
        "failed: wrong: an earlier record has the same id",
        "failed: wrong/blue: the file is not a TIFF",
        f"warning: other/red: proj:shape is [1, 1] in the catalog and {shape} in the file: the file counts",
    ]
    table = Collection.open(tmp_path / "index").select([])
    footprints = dict(zip(table["id"].to_pylist(), shapely.from_wkb(table["geometry"].to_numpy()), strict=True))
    assert footprints["nowhere"].bounds == pytest.approx(place, abs=0.02)


def test_many_warnings_are_counted(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    red = str(data / "landsat8-017037-20160503" / "red.tif")
    assets = {"red": {"href": red, "proj:shape": [1, 1]}}
    lines = [json.dumps(archives.item(str(i), bounds(Path(red)), {}, assets)) for i in range(30)]
    (tmp_path / "items.ndjson").write_text("\n".join(lines))
    assert main(["index", str(tmp_path / "items.ndjson"), "--out", str(tmp_path / "index"), "--name", "x"]) == 0
    *shown, rest = capsys.readouterr().out.splitlines()[1:]
    assert len(shown) == 20
    assert rest == "warning: 10 more; records of one archive often share them"
