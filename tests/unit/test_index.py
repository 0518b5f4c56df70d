"""Building an index and what is then in it."""

import json
import shutil
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pytest
import rasterio
import tifffile
from affine import Affine

from rasterflight_protocol import ErrorCode
from rasterflight_server.catalog import Candidate, Collection, Slot
from rasterflight_server.catalog.format import TILES_BATCH
from rasterflight_server.catalog.tiles import TilesFile, pack
from rasterflight_server.errors import RequestError, SourceError
from rasterflight_server.ingest import BuildReport, Failure, build_index
from rasterflight_server.ingest.spill import TilesWriter
from rasterflight_server.ingest.write import write_tiles
from rasterflight_server.types import TileRanges
from support.http_server import FileServer

SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]}


def raster(path: Path, bands: int = 1, dtype: str = "uint8", **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    usual = {"crs": "EPSG:32618", "transform": Affine(10, 0, 500_000, 0, -10, 4_000_000)}
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=32,
        height=32,
        count=bands,
        dtype=dtype,
        tiled=True,
        blockxsize=16,
        blockysize=16,
        **(usual | options),
    ) as out:
        out.write(np.ones((bands, 32, 32), dtype))
    return path


def item(record: str, assets: dict, *, geometry: dict | None = None, **properties) -> dict:
    assets = {key: value if isinstance(value, dict) else {"href": value} for key, value in assets.items()}
    properties = {"datetime": "2024-01-01T00:00:00Z"} | properties
    return {"type": "Feature", "id": record, "geometry": geometry, "properties": properties, "assets": assets}


def build(tmp_path: Path, *items: dict, **options) -> tuple[BuildReport, Collection]:
    (tmp_path / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    report = build_index(tmp_path / "items.json", tmp_path / "index", "test", **options)
    return report, Collection.open(tmp_path / "index")


def refused(source: Path, out: Path, name: str = "x", **options) -> RequestError:
    with pytest.raises(RequestError) as caught:
        build_index(source, out, name, **options)
    assert caught.value.code is ErrorCode.BAD_REQUEST
    return caught.value


def row_of(collection: Collection, record: str) -> int:
    table = collection.select([])
    return table["row"].to_pylist()[table["id"].to_pylist().index(record)]


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
class TestBuild:
    def test_everything_comes_back(self, tmp_path: Path, data: Path) -> None:
        source = data / "landsat8-ny-cog" / "items.json"
        report = build_index(source, tmp_path / "index", "ny")
        assert (report.name, report.records, report.assets, report.failures) == ("ny", 6, 30, ())
        assert report.bands == ("blue", "green", "red", "nir08", "qa")
        collection = Collection.open(tmp_path / "index")
        assert collection.snapshot == report.snapshot
        for feature in json.loads(source.read_text())["features"]:
            row = row_of(collection, feature["id"])
            assets = collection.assets(row, range(len(collection.manifest.slots)))
            for asset in assets:
                assert asset is not None
                path = (source.parent / feature["assets"][asset.key]["href"]).resolve()
                assert asset.href == str(path)
                assert asset.identity.size == path.stat().st_size
                assert asset.identity.mtime_ns == path.stat().st_mtime_ns
                with rasterio.open(path) as expected, tifffile.TiffFile(path) as tif:
                    assert tuple(asset.grid.transform) == tuple(expected.transform)
                    assert (asset.grid.crs, asset.grid.width) == ("EPSG:32618", expected.width)
                    for level, page in enumerate(tif.pages):
                        ranges = asset.tile_ranges(level)
                        assert ranges.offsets.tolist() == list(page.dataoffsets)
                        assert ranges.counts.tolist() == list(page.databytecounts)
                        assert ranges.offsets.dtype == ranges.counts.dtype == np.int64

    def test_over_http(self, tmp_path: Path, data: Path) -> None:
        with FileServer(data) as server:
            url = f"{server.url}/landsat8-ny-cog/items.json"
            report = build_index(url, tmp_path / "index", "ny", jobs=4)
            # One request a file, and one for the items.
            assert len(server.requests) == report.assets + 1
            (asset,) = Collection.open(tmp_path / "index").assets(0, [0])
        assert asset is not None
        assert asset.href.startswith(f"{server.url}/landsat8-ny-cog/LC08")
        assert (asset.identity.mtime_ns, asset.identity.etag is None) == (None, False)

    def test_failures_do_not_stop_the_rest(self, tmp_path: Path) -> None:
        raster(tmp_path / "good.tif")
        (tmp_path / "bad.tif").write_bytes(b"no")
        seen: list[Failure] = []
        report, collection = build(
            tmp_path,
            item("a", {"red": "good.tif", "blue": "bad.tif", "green": "ftp://b/k.tif"}),
            item("b", {"red": "missing.tif"}),
            item("a", {"red": "good.tif"}),
            {"id": "c"},
            on_failure=seen.append,
        )
        assert tuple(seen) == report.failures
        assert sorted(map(str, report.failures)) == [
            "a/blue: the file is not a TIFF",
            "a/green: files at 'ftp' URLs cannot be read (local paths, file://, http(s)://, s3://, gs://, az:// and abfs:// can)",
            "a: an earlier record has the same id",
            "b/red: the file does not exist",
            "b: none of its files can be read, it is not in the index",
            "c: the item has no asset that is a TIFF",
        ]
        assert collection.select([])["id"].to_pylist() == ["a"]
        assert list(collection.bands) == ["red"]

    def test_striped_original(self, tmp_path: Path, data: Path) -> None:
        report = build_index(data / "landsat8-ny-striped", tmp_path / "index", "striped")
        assert (report.records, report.failures) == (30, ())

    def test_nothing_left(self, tmp_path: Path) -> None:
        items = [item(str(i), {"red": "missing.tif"}) for i in range(5)]
        (tmp_path / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": items}))
        error = refused(tmp_path / "items.json", tmp_path / "index")
        assert error.message == "nothing can be indexed: 0/red: the file does not exist; 10 failures in all"
        assert not (tmp_path / "index").exists()
        (tmp_path / "empty").mkdir()
        message = refused(tmp_path / "empty", tmp_path / "index").message
        assert message == "nothing can be indexed: the source has no TIFF"

    def test_geoparquet(self, tmp_path: Path) -> None:
        raster(tmp_path / "a.tif")
        report, _ = build(tmp_path, item("a", {"red": "a.tif"}, geometry=SQUARE), item("b", {"red": "a.tif"}))
        frame = gpd.read_parquet(tmp_path / "index" / report.snapshot / "records.parquet")
        assert frame.crs == "OGC:CRS84"
        assert set(frame["id"]) == {"a", "b"}
        assert len(gpd.read_parquet(tmp_path / "index" / report.snapshot / "records.parquet", bbox=(0, 0, 1, 1))) == 1

    def test_without_georeference(self, tmp_path: Path) -> None:
        raster(tmp_path / "a.tif", crs=None, transform=None)
        _, collection = build(tmp_path, item("a", {"red": "a.tif"}))
        (record,) = collection.records(np.array([0])).to_pylist()
        assert (record["geometry"], record["bbox"], record["crs"]) == (None, None, None)
        assert collection.select([], (-180, -90, 180, 90)).num_rows == 0
        assert collection.select([]).num_rows == 1
        assert collection.summary()["extent"] is None

    def test_georeference_by_stac_where_the_file_has_none(self, tmp_path: Path) -> None:
        raster(tmp_path / "a.tif", crs=None, transform=None)
        raster(tmp_path / "b.tif")
        said = {"proj:code": "EPSG:32631", "proj:transform": [20, 0, 600_000, 0, -20, 5_000_000]}
        _, collection = build(
            tmp_path, item("a", {"red": {"href": "a.tif", **said}, "blue": {"href": "b.tif", **said}})
        )
        without, own = collection.assets(0, [0, 1])
        assert without is not None
        assert own is not None
        assert (without.grid.crs, without.grid.transform.a) == ("EPSG:32631", 20)
        assert (own.grid.crs, own.grid.transform.a) == ("EPSG:32618", 10)


class TestBands:
    def test_a_single_band_has_two_names(self, tmp_path: Path) -> None:
        raster(tmp_path / "a.tif")
        _, collection = build(tmp_path, item("a", {"red": {"href": "a.tif", "eo:bands": [{"name": "B4"}]}}))
        assert collection.resolve_band("red") is collection.resolve_band("B4")
        assert collection.bands["red"].aliases == ("B4",)

    def test_several_bands(self, tmp_path: Path) -> None:
        raster(tmp_path / "a.tif", 3)
        named = {"href": "a.tif", "eo:bands": [{"name": "r"}, {"name": "g"}]}
        _, collection = build(tmp_path, item("a", {"x": named, "y": "a.tif"}))
        assert list(collection.bands) == ["r", "g", "x_3", "y_1", "y_2", "y_3"]
        assert collection.bands["g"].candidates == (Candidate(0, 1),)

    def test_names_that_are_gone(self, tmp_path: Path) -> None:
        raster(tmp_path / "one.tif")
        raster(tmp_path / "two.tif", 2)
        colours = {"href": "two.tif", "eo:bands": [{"name": "red"}, {"name": "green"}]}
        _, collection = build(tmp_path, item("a", {"visual": colours, "preview": colours, "red": "one.tif"}))
        assert list(collection.bands) == ["visual_red", "green", "preview_red", "preview_green", "red"]

    def test_other_band_lists_have_other_slots(self, tmp_path: Path) -> None:
        raster(tmp_path / "a.tif", 2)
        first = {"href": "a.tif", "eo:bands": [{"name": "r"}, {"name": "g"}]}
        second = {"href": "a.tif", "eo:bands": [{"name": "g"}, {"name": "r"}]}
        _, collection = build(tmp_path, item("a", {"x": first}), item("b", {"x": second}))
        assert collection.manifest.slots == (Slot("x", ("r", "g")), Slot("x", ("g", "r")))
        assert collection.bands["r"].candidates == (Candidate(0, 0), Candidate(1, 1))
        here, there = collection.assets(row_of(collection, "b"), [0, 1])
        assert here is None
        assert there is not None

    def test_alias_of_several(self, tmp_path: Path) -> None:
        raster(tmp_path / "a.tif")
        b4 = {"href": "a.tif", "eo:bands": [{"name": "B4"}]}
        _, collection = build(tmp_path, item("a", {"red": b4}), item("b", {"nir": b4}))
        with pytest.raises(RequestError) as caught:
            collection.resolve_band("B4")
        assert caught.value.code is ErrorCode.UNKNOWN_BAND
        assert caught.value.message == "band 'B4' may be any of: 'red', 'nir'"

    def test_reserved_names(self, tmp_path: Path) -> None:
        raster(tmp_path / "a.tif")
        report, collection = build(tmp_path, item("a", {"geometry": "a.tif", "error": "a.tif", "red": "a.tif"}))
        assert list(collection.bands) == ["red"]
        assert [str(failure) for failure in report.failures] == [
            f"a/{name}: a band cannot be named {name!r}: a column of every result has that name; give it another"
            for name in ("geometry", "error")
        ]

    def test_facts(self, tmp_path: Path) -> None:
        raster(tmp_path / "a.tif", dtype="int16", nodata=-1)
        raster(tmp_path / "b.tif", dtype="int16", nodata=-1)
        raster(tmp_path / "c.tif", dtype="float32")
        with rasterio.open(tmp_path / "a.tif", "r+") as out:
            out.scales, out.offsets, out.units = [0.5], [3.0], ["m"]
        said = {"raster:bands": [{"scale": 9, "offset": 8, "unit": "K"}]}
        _, collection = build(
            tmp_path,
            item("a", {"x": {"href": "a.tif", **said}, "y": {"href": "b.tif", **said}}),
            item("b", {"x": "b.tif"}),
            item("c", {"x": "c.tif"}),
        )
        x, y = collection.bands["x"], collection.bands["y"]
        assert (x.scale, x.offset, x.unit) == (0.5, 3.0, "m")
        assert (y.scale, y.offset, y.unit) == (9.0, 8.0, "K")
        assert (x.dtypes, x.nodatas) == (("int16", "float32"), ("-1", None))

    def test_of_a_folder(self, tmp_path: Path) -> None:
        raster(tmp_path / "in" / "s1_B4.tif")
        raster(tmp_path / "in" / "s1_rgb.tif", 2)
        build_index(tmp_path / "in", tmp_path / "index", "x", pattern="{id}_{band}.tif")
        assert list(Collection.open(tmp_path / "index").bands) == ["B4", "rgb_1", "rgb_2"]

    def test_by_description(self, tmp_path: Path) -> None:
        for name, descriptions in (("a", ("one", "two")), ("b", ("one", None)), ("c", ("one", "one"))):
            raster(tmp_path / "in" / f"{name}.tif", 2)
            with rasterio.open(tmp_path / "in" / f"{name}.tif", "r+") as out:
                out.descriptions = descriptions
        build_index(tmp_path / "in", tmp_path / "index", "x")
        assert [slot.bands for slot in Collection.open(tmp_path / "index").manifest.slots] == [
            ("one", "two"),
            ("band_1", "band_2"),
        ]


def test_properties_become_typed_columns(tmp_path: Path) -> None:
    raster(tmp_path / "a.tif")
    first = {"i": 1, "f": 1, "t": "x", "b": True, "m": 1, "l": [1, {"a": None}], "n": None, "big": 2**70, "Split": "x"}
    second = {"i": 2, "f": 2.5, "t": "y", "b": False, "m": "s", "id": 7, "BBOX": "b", "split": "y", "s": "\ud800"}
    first["rasterflight:row"] = 3
    _, collection = build(tmp_path, item("a", {"r": "a.tif"}, **first), item("b", {"r": "a.tif"}, **second))
    rows = {row["id"]: row for row in collection.records(np.array([0, 1])).to_pylist()}
    types = {field.name: str(field.type) for field in collection.records_schema}
    assert [types[name] for name in ("i", "f", "t", "b", "m", "l", "n", "big")] == [
        "int64", "double", "string", "bool", "string", "string", "string", "string"
    ]  # fmt: skip
    assert (rows["a"]["m"], rows["b"]["m"], rows["a"]["l"]) == ("1", "s", '[1, {"a": null}]')
    assert (rows["b"]["properties:id"], rows["b"]["properties:BBOX"]) == (7, "b")
    assert (rows["a"]["Split"], rows["b"]["properties:split"]) == ("x", "y")
    assert rows["a"]["properties:rasterflight:row"] == 3
    assert rows["b"]["s"] == "?"


class TestTarget:
    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        raster(tmp_path / "in" / "a.tif")
        return tmp_path / "in"

    @pytest.mark.parametrize("name", ["", "a b", "../x", ".x", "a" * 101, "ü"])
    def test_names(self, source: Path, tmp_path: Path, name: str) -> None:
        error = refused(source, tmp_path / "index", name)
        assert (error.field, error.message) == ("name", f"{name[:100]!r} cannot be the name of a collection")

    def test_a_directory_with_other_things(self, source: Path, tmp_path: Path) -> None:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "manifest.json").write_text('{"name": "a web app"}')
        error = refused(source, tmp_path / "mine")
        assert error.field == "out"
        assert error.message == "the index cannot be written to 'mine': it is a directory with other things in it"
        assert error.hint == "give a new or empty directory, or one that holds an index"

    def test_here(self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        message = refused(source, Path()).message
        assert message == f"the index cannot be written to {tmp_path.name!r}: it is a directory with other things in it"

    def test_a_file(self, source: Path, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        assert refused(source, tmp_path / "file").message == "the index cannot be written to 'file': it is a file"

    def test_below_a_file(self, source: Path, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        assert "Not a directory" in refused(source, tmp_path / "file" / "index").message

    def test_another_build_at_work(self, source: Path, tmp_path: Path) -> None:
        raised = []

        def nested(_: Failure) -> None:
            raised.append(refused(source, tmp_path / "index").message)

        (source / "bad.tif").touch()
        build_index(source, tmp_path / "index", "x", on_failure=nested)
        assert raised[0] == "the index cannot be written to 'index': another build is at work there"
        assert Collection.open(tmp_path / "index").manifest.records == 1

    def test_other_parameters(self, source: Path, tmp_path: Path) -> None:
        assert refused(source, tmp_path / "index", jobs=0).message == "jobs is at least 1, got 0"
        error = refused(source / "a.tif", tmp_path / "index", pattern="{id}.tif")
        assert error.message == "the option 'pattern' does not go with STAC"
        error = refused(source / "a.tif", tmp_path / "index")
        assert error.message == "the source 'a.tif' is not STAC: it is a TIFF: give the folder that it lies in"
        with pytest.raises(SourceError) as caught:
            build_index(tmp_path / "nowhere", tmp_path / "index", "x")
        assert str(caught.value) == "the source 'nowhere': the file does not exist"
        assert caught.value.code is ErrorCode.SOURCE_NOT_FOUND
        assert not (tmp_path / "index").exists()


class TestRebuild:
    def test_the_same_again_is_the_same_snapshot(self, tmp_path: Path) -> None:
        raster(tmp_path / "in" / "a.tif")
        first = build_index(tmp_path / "in", tmp_path / "index", "x")
        second = build_index(tmp_path / "in", tmp_path / "index", "x")
        assert first.snapshot == second.snapshot
        assert sorted(path.name for path in (tmp_path / "index").iterdir()) == sorted([first.snapshot, "manifest.json"])
        assert Collection.open(tmp_path / "index").select([]).num_rows == 1

    def test_the_old_stays_in_use_until_closed(self, tmp_path: Path) -> None:
        raster(tmp_path / "in" / "a.tif")
        first = build_index(tmp_path / "in", tmp_path / "index", "x")
        old = Collection.open(tmp_path / "index")
        raster(tmp_path / "in" / "b.tif")
        second = build_index(tmp_path / "in", tmp_path / "index", "x")
        assert first.snapshot != second.snapshot
        assert sorted(path.name for path in (tmp_path / "index").iterdir()) == sorted(
            [second.snapshot, "manifest.json"]
        )
        (asset,) = old.assets(0, [0])
        assert asset is not None
        assert len(asset.tile_ranges(0).offsets) == 4
        assert old.select([]).num_rows == 1
        assert Collection.open(tmp_path / "index").select([]).num_rows == 2

    def test_a_failed_build_leaves_the_old(self, tmp_path: Path) -> None:
        raster(tmp_path / "in" / "a.tif")
        report = build_index(tmp_path / "in", tmp_path / "index", "x")
        (tmp_path / "empty").mkdir()
        refused(tmp_path / "empty", tmp_path / "index")
        assert sorted(path.name for path in (tmp_path / "index").iterdir()) == sorted(
            [report.snapshot, "manifest.json"]
        )
        assert Collection.open(tmp_path / "index").snapshot == report.snapshot

    def test_a_killed_build_is_cleared_away(self, tmp_path: Path) -> None:
        raster(tmp_path / "in" / "a.tif")
        (tmp_path / "index" / ".building").mkdir(parents=True)
        (tmp_path / "index" / ".building" / "tiles.arrow").write_text("half")
        build_index(tmp_path / "in", tmp_path / "index", "x")
        assert not (tmp_path / "index" / ".building").exists()


def test_index_and_files_move_together(tmp_path: Path) -> None:
    raster(tmp_path / "here" / "in" / "a.tif")
    build_index(tmp_path / "here" / "in", tmp_path / "here" / "index", "x")
    shutil.move(tmp_path / "here", tmp_path / "there")
    (asset,) = Collection.open(tmp_path / "there" / "index").assets(0, [0])
    assert asset is not None
    assert asset.href == str(tmp_path / "there" / "in" / "a.tif")


class TestTilePacking:
    @pytest.mark.parametrize(
        ("offsets", "counts", "packed"),
        [
            ([100, 110, 130], [10, 20, 30], True),
            ([100, 118, 146], [10, 20, 30], True),
            ([100], [10], True),
            ([100, 110, 131], [10, 20, 30], False),
            ([130, 110, 100], [30, 20, 10], False),
            ([100, 0, 110], [10, 0, 30], False),
            ([0], [0], False),
            ([2**40, 2**40 + 2**32 - 1], [2**32 - 1, 7], True),
        ],
    )
    def test_there_and_back(self, tmp_path: Path, offsets: list[int], counts: list[int], packed: bool) -> None:
        writer = TilesWriter(tmp_path / "tiles.arrow")
        other = TileRanges(np.array([1, 9], np.int64), np.array([8, 8], np.int64))
        assert writer.add([other, other]) == 0
        assert writer.add([TileRanges(np.array(offsets, np.int64), np.array(counts, np.int64))]) == 2
        writer.close()
        found = TilesFile(tmp_path / "tiles.arrow").ranges(2)
        assert (found.offsets.tolist(), found.counts.tolist()) == (offsets, counts)
        with pa.ipc.open_file(tmp_path / "tiles.arrow") as file:
            assert file.get_batch(0)["gap"][2].is_valid is packed

    def test_many_batches(self, tmp_path: Path) -> None:
        writer = TilesWriter(tmp_path / "tiles.arrow")
        for i in range(9_000):
            writer.add([TileRanges(np.array([i]), np.array([1]))])
        writer.close()
        file = TilesFile(tmp_path / "tiles.arrow")
        assert [int(file.ranges(i).offsets[0]) for i in (0, 4095, 4096, 8191, 8999)] == [0, 4095, 4096, 8191, 8999]


def test_tile_lists_are_moved_batch_by_batch(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    levels = [TileRanges(np.array([7 + n, 9_000 + n]), np.array([1 + n % 5, 3])) for n in range(3 * TILES_BATCH)]
    batches = [pack(levels[start : start + 1000]) for start in range(0, len(levels), 1000)]
    first = rng.permutation(len(levels) // 3)[: TILES_BATCH - 7] * 3
    moved = write_tiles(tmp_path / "tiles.arrow", pa.Table.from_batches(batches), first, np.full(len(first), 2))
    file = TilesFile(tmp_path / "tiles.arrow")
    for old, new in zip(first.tolist(), moved.tolist(), strict=True):
        for level in range(2):
            np.testing.assert_array_equal(file.ranges(new + level).offsets, levels[old + level].offsets)
            np.testing.assert_array_equal(file.ranges(new + level).counts, levels[old + level].counts)


def test_tile_lists_are_packed_where_gaps_are_alike() -> None:
    given = [([8, 20, 32], [10, 10, 10]), ([8, 20, 40], [10, 10, 10]), ([0, 0], [0, 0]), ([5], [4])]
    rows = pack([TileRanges(np.array(offsets), np.array(counts)) for offsets, counts in given]).to_pylist()
    assert [row["gap"] for row in rows] == [2, None, None, 0]
    assert [row["offsets"] for row in rows] == [None, [8, 20, 40], [0, 0], None]
    assert [(row["first_offset"], row["counts"]) for row in rows] == [(at[0], counts) for at, counts in given]
