"""Footprints as they are found in the wild."""

import json
from pathlib import Path
from typing import Any

import pytest
import rasterio
import shapely
from affine import Affine

from rasterflight_server.catalog import Collection
from rasterflight_server.ingest import BuildReport, build_index
from rasterflight_server.ingest.stacgeometry import BadGeometryError, read_footprint
from support.archives import square

FIJI = (177.0, -19.0, -178.0, -16.0)
UTM_60 = {"crs": "EPSG:32760", "transform": Affine(1000, 0, 700_000, 0, -1000, 8_200_000)}
UTM_18 = {"crs": "EPSG:32618", "transform": Affine(1000, 0, 500_000, 0, -1000, 4_500_000)}


def polygon(*coordinates: tuple[float, ...]) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [[*coordinates, coordinates[0]]]}


def bounds_of_parts(geometry: Any) -> list[tuple[float, ...]]:
    return sorted(part.bounds for part in shapely.get_parts(geometry))


def test_heights_are_dropped() -> None:
    found, odd = read_footprint({"geometry": polygon((0, 0, 5), (1, 0, 5), (1, 1, 5)), "bbox": [0, 0, 5, 1, 1, 5]})
    assert (found, odd) == (shapely.Polygon([(0, 0), (1, 0), (1, 1)]), [])
    assert not found.has_z


@pytest.mark.parametrize("geometry", [None, {"type": "Polygon", "coordinates": []}])
def test_none(geometry: Any) -> None:
    assert read_footprint({"geometry": geometry, "bbox": [0, 0, 1, 1]}) == (None, [])


@pytest.mark.parametrize(
    "geometry", [7, "x", {"type": "Polygon"}, {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}]
)
def test_not_geojson(geometry: Any) -> None:
    with pytest.raises(BadGeometryError, match="its geometry is not GeoJSON"):
        read_footprint({"geometry": geometry})


def test_what_is_not_valid_is_mended() -> None:
    found, _ = read_footprint({"geometry": polygon((0, 0), (2, 2), (2, 0), (0, 2))})
    assert found.is_valid
    assert found.area == pytest.approx(2)
    # A spike leaves a line behind, which is no area.
    found, _ = read_footprint({"geometry": polygon((0, 0), (1, 0), (1, 1), (3, 1), (1, 1), (0, 1))})
    assert (found.geom_type, found.area) == ("Polygon", 1)


@pytest.mark.parametrize("kind", ["Point", "LineString"])
def test_no_area(kind: str) -> None:
    coordinates = [0, 0] if kind == "Point" else [[0, 0], [1, 1]]
    found, odd = read_footprint({"geometry": {"type": kind, "coordinates": coordinates}})
    assert (found, odd) == (None, [f"its geometry is a {kind}, not an area: the outline of the raster counts"])


class TestAntimeridian:
    def test_beyond_180(self) -> None:
        found, odd = read_footprint({"geometry": square(177, -19, 182, -16)})
        assert odd == []
        assert bounds_of_parts(found) == [(-180, -19, -178, -16), (177, -19, 180, -16)]

    def test_uncut_with_a_bbox_across(self) -> None:
        found, odd = read_footprint({"geometry": square(-178, -19, 177, -16), "bbox": list(FIJI)})
        assert odd == []
        assert bounds_of_parts(found) == [(-180, -19, -178, -16), (177, -19, 180, -16)]

    def test_cut_already(self) -> None:
        parts = [square(177, -19, 180, -16)["coordinates"], square(-180, -19, -178, -16)["coordinates"]]
        found, odd = read_footprint({"geometry": {"type": "MultiPolygon", "coordinates": parts}, "bbox": list(FIJI)})
        assert (bounds_of_parts(found), odd) == ([(-180, -19, -178, -16), (177, -19, 180, -16)], [])

    def test_the_whole_earth(self) -> None:
        found, _ = read_footprint({"geometry": square(-180, -90, 180, 90), "bbox": [-180, -90, 180, 90]})
        assert found.bounds == (-180, -90, 180, 90)


class TestOrder:
    def test_beyond_the_poles(self) -> None:
        found, odd = read_footprint({"geometry": square(40, -120, 41, -119)})
        assert found is None
        assert odd == [
            "its geometry reaches beyond the poles, as where latitudes come first: the outline of the raster counts"
        ]

    def test_bbox_and_geometry(self) -> None:
        said = "its bbox and its geometry disagree: one of them has latitude before longitude"
        assert read_footprint({"geometry": square(10, 50, 11, 51), "bbox": [50, 10, 51, 11]})[1] == [said]
        assert read_footprint({"geometry": square(10, 50, 11, 51), "bbox": [10, 50, 11, 52]})[1] == []
        assert read_footprint({"geometry": square(10, 50, 11, 51), "bbox": [10, None, 11, 52]})[1] == []


def build(tmp_path: Path, geometry: Any, *, bbox: Any = None, **raster: Any) -> tuple[BuildReport, Any]:
    """Index one item with one raster; gives the report and the footprint."""
    options = {"width": 400, "height": 300, "count": 1, "dtype": "uint8", "sparse_ok": True} | raster
    with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", **options):
        pass
    item = {"type": "Feature", "id": "a", "geometry": geometry, "properties": {"datetime": None}}
    item |= {"assets": {"x": {"href": "a.tif"}}} | ({} if bbox is None else {"bbox": bbox})
    (tmp_path / "item.json").write_text(json.dumps(item))
    report = build_index(tmp_path / "item.json", tmp_path / "index", "test")
    wkb = Collection.open(tmp_path / "index").select([])["geometry"][0].as_py()
    return report, wkb and shapely.from_wkb(wkb)


class TestAgainstTheRaster:
    def test_right(self, tmp_path: Path) -> None:
        report, footprint = build(tmp_path, square(-75, 39, -72, 40), **UTM_18)
        assert (report.notices, footprint.bounds) == ((), (-75, 39, -72, 40))

    def test_missing(self, tmp_path: Path) -> None:
        report, footprint = build(tmp_path, None, **UTM_18)
        assert report.notices == ()
        assert footprint.bounds == pytest.approx((-75, 37.86, -70.25, 40.65), abs=0.05)

    def test_latitudes_first(self, tmp_path: Path) -> None:
        report, footprint = build(tmp_path, square(39, -75, 40, -72), **UTM_18)
        assert list(map(str, report.notices)) == [
            "a: its geometry has latitude before longitude: the outline of the raster counts"
        ]
        assert footprint.bounds == pytest.approx((-75, 37.86, -70.25, 40.65), abs=0.05)

    def test_elsewhere(self, tmp_path: Path) -> None:
        report, footprint = build(tmp_path, square(10, 10, 11, 11), **UTM_18)
        assert list(map(str, report.notices)) == [
            "a: its geometry lies elsewhere than its raster: it is found by its geometry"
        ]
        assert footprint.bounds == (10, 10, 11, 11)

    def test_no_crs(self, tmp_path: Path) -> None:
        report, footprint = build(tmp_path, square(10, 10, 11, 11), transform=Affine(1, 0, 5, 0, -1, 5))
        assert (report.notices, footprint.bounds) == ((), (10, 10, 11, 11))

    def test_uncut_at_the_antimeridian(self, tmp_path: Path) -> None:
        report, footprint = build(tmp_path, square(-178, -19, 178.5, -16), **UTM_60)
        assert list(map(str, report.notices)) == [
            "a: its geometry crosses the antimeridian without being cut there: the outline of the raster counts"
        ]
        west, east = bounds_of_parts(footprint)
        assert (west[0], east[2]) == pytest.approx((-180, 180))

    def test_cut_at_the_antimeridian(self, tmp_path: Path) -> None:
        report, footprint = build(tmp_path, square(178, -19, 182, -16), bbox=[178, -19, -178, -16], **UTM_60)
        assert report.notices == ()
        assert bounds_of_parts(footprint) == [(-180, -19, -178, -16), (178, -19, 180, -16)]

    def test_the_whole_earth(self, tmp_path: Path) -> None:
        earth = {"crs": "EPSG:4326", "transform": Affine(0.9, 0, -180, 0, -0.6, 90)}
        report, footprint = build(tmp_path, square(-180, -90, 180, 90), **earth)
        assert (report.notices, footprint.bounds) == ((), (-180, -90, 180, 90))
