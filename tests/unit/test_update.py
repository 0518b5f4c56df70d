"""Bringing an index up to date: what is read again, what is kept, and what is said about it."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rasterflight_protocol import ErrorCode
from rasterflight_server.catalog import Collection
from rasterflight_server.catalog.manifest import Manifest
from rasterflight_server.errors import BadIndexError, RequestError, SourceError
from rasterflight_server.ingest import BuildReport, build_index, index_records, update_index
from rasterflight_server.ingest import headers as headers_module
from rasterflight_server.ingest.header import Header
from rasterflight_server.ingest.sources import AssetSource, RecordSource
from rasterflight_server.store import Stores
from support.http_server import FileServer
from support.scenes import noise, write_scene
from support.stac_api import StacApi


def counts(report: BuildReport) -> tuple[int, int, int, int, int]:
    return report.added, report.dropped, report.changed, report.unchanged, len(report.failures)


def contents(index: Path) -> dict[str, dict]:
    """All that an index says, whatever the order of its rows and numbers."""
    collection = Collection.open(index)
    manifest = collection.manifest
    records = {}
    for row, record in enumerate(collection.records(np.arange(manifest.records)).to_pylist()):
        assets = {}
        for slot, asset in zip(manifest.slots, collection.assets(row, range(len(manifest.slots))), strict=True):
            if asset is not None:
                levels = range(len(asset.profile.levels) + len(asset.profile.masks))
                tiles = [(places.offsets.tolist(), places.counts.tolist()) for places in map(asset.tile_ranges, levels)]
                facts = (asset.href, asset.identity, asset.profile, asset.grid, asset.tags, tiles)
                assets[asset.key, slot.bands] = facts
        records[record["id"]] = {"record": record, "assets": assets}
    collection.close()
    return records


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Headers that are read."""
    seen: list[str] = []
    read = headers_module.read_header

    def counting(source, prefix):
        seen.append("")
        return read(source, prefix)

    monkeypatch.setattr(headers_module, "read_header", counting)
    return seen


class TestFolder:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "files"
        folder.mkdir()
        for number, record in enumerate("abc"):
            write_scene(folder / f"{record}_B1.tif", noise(64, 64), tile=32)
            write_scene(folder / f"{record}_B2.tif", noise(32 * (number + 1), 64), tile=32)
        build_index(folder, tmp_path / "index", "x", pattern="{id}_{band}.tif")
        return folder

    def test_nothing_changed(self, folder: Path, tmp_path: Path, opened: list[str]) -> None:
        before = Manifest.read(tmp_path / "index").snapshot
        report = update_index(tmp_path / "index")
        assert (counts(report), report.snapshot, opened) == ((0, 0, 0, 3, 0), before, [])

    def test_added_dropped_changed(self, folder: Path, tmp_path: Path, opened: list[str]) -> None:
        write_scene(folder / "d_B1.tif", noise(64, 64), tile=32)
        (folder / "a_B1.tif").unlink()
        (folder / "a_B2.tif").unlink()
        write_scene(folder / "b_B2.tif", noise(96, 96), tile=32)
        report = update_index(tmp_path / "index")
        assert (counts(report), report.records, report.assets) == ((1, 1, 1, 1, 0), 3, 5)
        assert len(opened) == 2
        build_index(folder, tmp_path / "fresh", "x", pattern="{id}_{band}.tif")
        assert contents(tmp_path / "index") == contents(tmp_path / "fresh")

    def test_by_a_relative_path(self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert counts(update_index("index", ["files"])) == (0, 0, 0, 3, 0)

    def test_many_times(self, folder: Path, tmp_path: Path) -> None:
        for size in (32, 96, 160):
            write_scene(folder / "b_B1.tif", noise(size, size), tile=32)
            write_scene(folder / f"n{size}_B1.tif", noise(size, size), tile=32)
            update_index(tmp_path / "index")
        build_index(folder, tmp_path / "fresh", "x", pattern="{id}_{band}.tif")
        assert contents(tmp_path / "index") == contents(tmp_path / "fresh")
        rows = [pa.ipc.open_file(path).read_all().num_rows for path in sorted(tmp_path.glob("*/*/tiles.arrow"))]
        assert rows[0] == rows[1]  # nothing is left of what went

    def test_bands_that_nobody_has_any_more(self, folder: Path, tmp_path: Path) -> None:
        for path in folder.glob("*_B2.tif"):
            path.unlink()
        report = update_index(tmp_path / "index")
        assert (report.bands, counts(report)) == (("B1",), (0, 0, 3, 0, 0))

    def test_by_modification_time(self, folder: Path, tmp_path: Path, opened: list[str]) -> None:
        os.utime(folder / "a_B1.tif", ns=(1, 1))
        assert counts(update_index(tmp_path / "index", verify=False)) == (0, 0, 0, 3, 0)
        assert counts(update_index(tmp_path / "index")) == (0, 0, 1, 2, 0)
        assert len(opened) == 1

    def test_a_file_that_became_unreadable(self, folder: Path, tmp_path: Path) -> None:
        (folder / "a_B1.tif").write_bytes(b"no")
        report = update_index(tmp_path / "index")
        assert counts(report) == (0, 0, 1, 2, 1)
        assert str(report.failures[0]) == "a/B1: the file is not a TIFF"
        assert report.assets == 5

    def test_everything_gone_leaves_the_old(self, folder: Path, tmp_path: Path) -> None:
        before = contents(tmp_path / "index")
        for path in folder.iterdir():
            path.unlink()
        with pytest.raises(RequestError, match="nothing can be indexed: the source has no TIFF"):
            update_index(tmp_path / "index")
        shutil.rmtree(folder)
        with pytest.raises(SourceError, match="the source 'files'"):
            update_index(tmp_path / "index")
        assert contents(tmp_path / "index") == before

    def test_index_and_files_moved_together(self, folder: Path, tmp_path: Path, opened: list[str]) -> None:
        (tmp_path / "there").mkdir()
        shutil.move(folder, tmp_path / "there" / "files")
        shutil.move(tmp_path / "index", tmp_path / "there" / "index")
        assert counts(update_index(tmp_path / "there" / "index")) == (0, 0, 0, 3, 0)
        assert opened == []

    def test_another_build_at_work(self, folder: Path, tmp_path: Path) -> None:
        raised = []

        def nested(_) -> None:
            with pytest.raises(RequestError) as caught:
                update_index(tmp_path / "index")
            raised.append(caught.value.message)

        (folder / "z_B1.tif").touch()
        update_index(tmp_path / "index", on_failure=nested)
        assert raised[0] == "the index cannot be written to 'index': another build is at work there"


class TestItems:
    def write(self, folder: Path, name: str, records: dict[str, dict], **assets: dict) -> Path:
        features = [
            {
                "type": "Feature",
                "id": record,
                "geometry": None,
                "properties": {"datetime": "2024-01-01T00:00:00Z", **properties},
                "assets": {"red": {"href": f"{record}.tif", **assets.get(record, {})}},
            }
            for record, properties in records.items()
        ]
        for record in records:
            if not (folder / f"{record}.tif").exists():
                write_scene(folder / f"{record}.tif", noise(32, 32), tile=32)
        path = folder / name
        path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
        return path

    def test_other_properties_need_no_header(self, tmp_path: Path, opened: list[str]) -> None:
        items = self.write(tmp_path, "items.json", {"a": {"cloud": 1}, "b": {"cloud": 2}})
        build_index(items, tmp_path / "index", "x")
        opened.clear()
        self.write(tmp_path, "items.json", {"a": {"cloud": 1}, "b": {"cloud": 2.5, "new": True}})
        assert counts(update_index(tmp_path / "index")) == (0, 0, 1, 1, 0)
        assert opened == []
        build_index(items, tmp_path / "fresh", "x")
        assert contents(tmp_path / "index") == contents(tmp_path / "fresh")

    def test_other_hints_read_the_header(self, tmp_path: Path, opened: list[str]) -> None:
        items = self.write(tmp_path, "items.json", {"a": {}}, a={"raster:bands": [{"scale": 2}]})
        build_index(items, tmp_path / "index", "x")
        opened.clear()
        self.write(tmp_path, "items.json", {"a": {}}, a={"raster:bands": [{"scale": 3}]})
        assert counts(update_index(tmp_path / "index")) == (0, 0, 1, 0, 0)
        assert len(opened) == 1
        assert Collection.open(tmp_path / "index").bands["red"].scale == 3

    def test_new_sources_join(self, tmp_path: Path, opened: list[str]) -> None:
        first = self.write(tmp_path, "first.json", {"a": {"n": 1}, "b": {"n": 1}})
        second = self.write(tmp_path, "second.json", {"b": {"n": 2}, "c": {"n": 2}})
        build_index(first, tmp_path / "index", "x")
        opened.clear()
        assert counts(update_index(tmp_path / "index", [second])) == (1, 0, 1, 1, 0)
        assert len(opened) == 1
        found = {record: facts["record"]["n"] for record, facts in contents(tmp_path / "index").items()}
        assert found == {"a": 1, "b": 2, "c": 2}
        # The latest source counts, whichever runs again.
        assert counts(update_index(tmp_path / "index", [first])) == (0, 0, 0, 3, 0)
        assert counts(update_index(tmp_path / "index")) == (0, 0, 0, 3, 0)
        # Gone from its own source, and none of the others' business.
        self.write(tmp_path, "first.json", {"b": {"n": 1}})
        assert counts(update_index(tmp_path / "index", [second])) == (0, 0, 0, 3, 0)
        assert counts(update_index(tmp_path / "index")) == (0, 1, 0, 2, 0)

    def test_part_of_a_source(self, tmp_path: Path) -> None:
        catalog = tmp_path / "catalog.json"

        def write(records: dict[str, dict], *links: str) -> None:
            for item in json.loads(self.write(tmp_path, "items.json", records).read_text())["features"]:
                (tmp_path / f"{item['id']}.json").write_text(json.dumps(item))
            hrefs = [{"rel": "item", "href": f"{record}.json"} for record in links]
            catalog.write_text(json.dumps({"type": "Catalog", "id": "c", "links": hrefs}))

        write({"a": {}, "b": {}}, "a", "b")
        build_index(catalog, tmp_path / "index", "x")
        write({"a": {"n": 1}}, "a", "b")
        (tmp_path / "b.json").unlink()
        report = update_index(tmp_path / "index")
        assert counts(report) == (0, 0, 1, 1, 1)
        assert "b.json: a link of the catalog is broken" in str(report.failures[0])
        write({"a": {"n": 1}}, "a")
        assert counts(update_index(tmp_path / "index")) == (0, 1, 0, 1, 0)

    def test_several_sources_at_first(self, tmp_path: Path) -> None:
        first = self.write(tmp_path, "first.json", {"a": {"n": 1}, "b": {"n": 1}})
        second = self.write(tmp_path, "second.json", {"b": {"n": "2"}, "c": {"n": 2}})
        report = build_index([first, second], tmp_path / "index", "x")
        assert counts(report) == (3, 0, 0, 0, 0)
        found = {record: facts["record"]["n"] for record, facts in contents(tmp_path / "index").items()}
        assert found == {"a": "1", "b": "2", "c": "2"}


class TestOverHttp:
    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[FileServer]:
        (tmp_path / "web").mkdir()
        for record in "abc":
            write_scene(tmp_path / "web" / f"{record}.tif", noise(32, 32), tile=32)
        with FileServer(tmp_path / "web") as server:
            self.items(tmp_path, server, "abc")
            build_index(tmp_path / "items.json", tmp_path / "index", "x")
            server.requests.clear()
            yield server

    def items(self, folder: Path, server: FileServer, records: str) -> None:
        features = [
            {"type": "Feature", "id": record, "assets": {"red": {"href": f"{server.url}/{record}.tif"}}}
            for record in records
        ]
        (folder / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": features}))

    def test_requests(self, tmp_path: Path, server: FileServer) -> None:
        write_scene(tmp_path / "web" / "d.tif", noise(32, 32), tile=32)
        server.faults.etag["/b.tif"] = '"another"'
        self.items(tmp_path, server, "abcd")
        assert counts(update_index(tmp_path / "index")) == (1, 0, 1, 2, 0)
        asked = sorted((request.path, request.method) for request in server.requests)
        assert asked == [
            ("/a.tif", "HEAD"), ("/b.tif", "GET"), ("/b.tif", "HEAD"), ("/c.tif", "HEAD"), ("/d.tif", "GET"),
        ]  # fmt: skip

    def test_without_looking(self, tmp_path: Path, server: FileServer) -> None:
        assert counts(update_index(tmp_path / "index", verify=False)) == (0, 0, 0, 3, 0)
        assert server.requests == []

    def test_what_cannot_be_reached_stays(self, tmp_path: Path, server: FileServer) -> None:
        before = contents(tmp_path / "index")
        server.faults.status |= {"/a.tif": 403, "/b.tif": 404}
        report = update_index(tmp_path / "index")
        assert counts(report) == (0, 1, 0, 2, 3)
        signed = (
            "a signed URL may have run out: index the collection again with fresh ones;"
            " a host that wants a token gets it by token_file in the storage options"
        )
        assert sorted(map(str, report.failures)) == [
            f"a/red: the store refuses the file (HTTP 401 or 403) ({signed}); it stays in the index as it was",
            "b/red: the file does not exist (HTTP 404)",
            "b: none of its files can be read, it is not in the index",
        ]
        assert contents(tmp_path / "index") == {record: before[record] for record in "ac"}
        report = pq.read_table(tmp_path / "index" / "failures.parquet")
        assert (report.column_names, len(report)) == (["record", "asset", "reason"], 3)
        server.faults.status.clear()
        assert counts(update_index(tmp_path / "index")) == (1, 0, 0, 2, 0)
        assert not (tmp_path / "index" / "failures.parquet").exists()


class TestKindsOfSources:
    """Each is read again as it was read at first."""

    @pytest.fixture
    def files(self, tmp_path: Path) -> Path:
        for name in ("a", "b", "c"):
            write_scene(tmp_path / f"{name}.tif", noise(32, 32), tile=32)
        return tmp_path

    def table(self, folder: Path, **clouds: int) -> pa.Table:
        paths = [str(folder / f"{name}.tif") for name in clouds]
        return pa.table({"scene": list(clouds), "clouds": list(clouds.values()), "red_url": paths})

    def saved(self, folder: Path) -> dict:
        [source] = json.loads((folder / "index" / "manifest.json").read_text())["sources"]
        return source

    def test_a_table_with_a_map(self, files: Path, opened: list[str]) -> None:
        pq.write_table(self.table(files, a=1, b=2), files / "t.parquet")
        build_index(files / "t.parquet", files / "index", "x", map={"id": "scene", "B04": "red_url"})
        assert self.saved(files) == {"location": "t.parquet", "map": {"id": "scene", "B04": "red_url"}}
        opened.clear()
        pq.write_table(self.table(files, b=3, c=4), files / "t.parquet")
        assert counts(update_index(files / "index")) == (1, 1, 1, 0, 0)
        assert len(opened) == 1

    def test_a_query(self, files: Path) -> None:
        pq.write_table(self.table(files, a=1, b=2, c=30), files / "t.parquet")
        sql = f"SELECT * FROM '{files}/t.parquet' WHERE clouds < 20 AND 'http://h/x?sig=hidden' != ''"
        named = {"id": "scene", "B04": "red_url"}
        assert build_index((), files / "index", "x", query=sql, map=named).records == 2
        assert "hidden" not in (files / "index" / "manifest.json").read_text()
        with pytest.raises(RequestError, match="the source 'the query' was given with a secret"):
            update_index(files / "index")
        assert counts(update_index(files / "index", query=sql)) == (0, 0, 0, 2, 0)
        plain = sql.replace("?sig=hidden", "")
        assert build_index((), files / "index", "x", query=plain, map=named).records == 2
        pq.write_table(self.table(files, a=1, b=20, c=3), files / "t.parquet")
        assert counts(update_index(files / "index")) == (1, 1, 0, 1, 0)

    def test_a_search(self, files: Path) -> None:
        def item(number: int, name: str) -> dict:
            assets = {key: {"href": (files / f"{name}.tif").as_uri(), "type": "image/tiff"} for key in ("red", "nir")}
            when = {"datetime": f"2024-01-0{number}T00:00:00Z"}
            return {"type": "Feature", "stac_version": "1.0.0", "id": name, "geometry": None, "properties": when,
                    "links": [], "collection": "s2", "assets": assets}  # fmt: skip

        (files / "my.toml").write_text(f'[[rewrite]]\nfrom = "{files.as_uri()}/"\nto = "{files.as_uri()}/"')
        with StacApi([item(1, "a"), item(5, "b")]) as api:
            search = {"collections": "s2", "datetime": "2024-01-01/2024-01-03"}
            report = build_index(api.url, files / "index", "x", search=search, assets=["red"], config=files / "my.toml")
            assert (report.records, report.bands) == (1, ("red",))
            assert self.saved(files) == {
                "location": api.url,
                "assets": ["red"],
                "search": {"collections": ["s2"], "datetime": "2024-01-01/2024-01-03", "limit": 100},
            }
            api.items.append(item(2, "c"))
            report = update_index(files / "index")
            assert (counts(report), report.bands) == ((1, 0, 0, 1, 0), ("red",))

    def test_what_a_program_gave(self, files: Path) -> None:
        named = {"id": "scene", "B04": "red_url"}
        build_index(self.table(files, a=1), files / "index", "x", map=named)
        with pytest.raises(RequestError, match="made from records of a program, which cannot be run again") as caught:
            update_index(files / "index")
        assert caught.value.field == "source"
        assert counts(update_index(files / "index", self.table(files, a=2, b=2), map=named)) == (1, 0, 1, 0, 0)

    def test_headers_that_a_source_gives(self, files: Path) -> None:
        [header] = headers_module.read_files([headers_module.Task(str(files / "a.tif"))], Stores())
        # Collections of rasteret know no size and no ETag.
        header = replace(header, identity=None)
        moved = replace(header, tiles=tuple(each._replace(offsets=each.offsets + 16) for each in header.tiles))

        def records(header: Header) -> list[RecordSource]:
            return [RecordSource("a", (AssetSource("red", str(files / "a.tif"), single="red", header=header),))]

        before = index_records(records(header), files / "index", "x").snapshot
        assert index_records(records(header), files / "index", "x").snapshot == before
        assert index_records(records(moved), files / "index", "x").snapshot != before

    def test_how_but_not_which(self, files: Path) -> None:
        build_index(files, files / "index", "x")
        with pytest.raises(RequestError, match="it was said how to read a source, but not which") as caught:
            update_index(files / "index", prefer="s3")
        assert (caught.value.field, caught.value.code) == ("source", ErrorCode.BAD_REQUEST)

    def test_by_the_configuration(self, files: Path) -> None:
        with FileServer(files) as server:
            (files / "my.toml").write_text(f'[[rewrite]]\nfrom = "https://elsewhere.example/"\nto = "{server.url}/"')
            features = [{"type": "Feature", "id": "a", "assets": {"red": {"href": "https://elsewhere.example/a.tif"}}}]
            (files / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
            build_index(files / "items.json", files / "index", "x", config=files / "my.toml")
            server.requests.clear()
            assert counts(update_index(files / "index")) == (0, 0, 0, 1, 0)
            assert [(request.method, request.path) for request in server.requests] == [("HEAD", "/a.tif")]


class TestSavedSources:
    def test_without_secrets(self, tmp_path: Path, data: Path) -> None:
        with FileServer(data / "dem-alexandria") as server:
            url = f"{server.url}/items.json?page=1&sig=hidden"
            build_index(url, tmp_path / "index", "x")
            text = (tmp_path / "index" / "manifest.json").read_text()
            assert "hidden" not in text
            assert json.loads(text)["sources"][0]["location"] == f"{server.url}/items.json?page=1"
            with pytest.raises(RequestError) as caught:
                update_index(tmp_path / "index")
            assert caught.value.code is ErrorCode.BAD_REQUEST
            label = f"{server.url}/items.json"
            assert caught.value.message == (
                f"the source {label!r} was given with a secret, which the index does not keep"
            )
            assert counts(update_index(tmp_path / "index", [f"{url}def"])) == (0, 0, 0, 1, 0)

    def test_an_index_that_does_not_say(self, tmp_path: Path, data: Path) -> None:
        report = build_index(data / "dem-alexandria" / "items.json", tmp_path / "index", "x")
        (tmp_path / "index" / report.snapshot / "origins.arrow").unlink()
        with pytest.raises(BadIndexError, match="does not say what it was made from"):
            update_index(tmp_path / "index")

    def test_no_index(self, tmp_path: Path) -> None:
        with pytest.raises(BadIndexError, match="is not an index"):
            update_index(tmp_path / "nowhere")
        assert not (tmp_path / "nowhere").exists()

    def test_records_of_a_program(self, tmp_path: Path, data: Path) -> None:
        write_scene(tmp_path / "a.tif", noise(32, 32), tile=32)
        records = [RecordSource("a", (AssetSource("red", str(tmp_path / "a.tif"), single="red"),))]
        index_records(records, tmp_path / "index", "x")
        with pytest.raises(RequestError, match="made from records of a program, which cannot be run again"):
            update_index(tmp_path / "index")
        assert counts(update_index(tmp_path / "index", [data / "dem-alexandria" / "items.json"])) == (1, 0, 0, 1, 0)
