"""Static catalogs are followed from link to link, on disk and over HTTP."""

import gzip
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pystac
import pytest
import requests

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError, SourceError
from rasterflight_server.ingest import build_index, staccatalog
from rasterflight_server.ingest.documents import load_json
from rasterflight_server.ingest.find import SourceOptions, find_records
from rasterflight_server.ingest.sources import Failure, RecordSource
from rasterflight_server.ingest.stacassets import AssetChoice
from support.http_server import FileServer
from support.stac_api import StacApi

SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]}
WHEN = "2024-01-02T03:04:05Z"


def item(name: str, **changes) -> dict:
    assets = {"red": {"href": f"{name}.tif", "type": "image/tiff"}}
    usual = {"type": "Feature", "id": name, "geometry": SQUARE, "properties": {"datetime": WHEN}, "assets": assets}
    return usual | changes


def link(rel: str, href: str) -> dict:
    return {"rel": rel, "href": href}


def write(path: Path, document: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


def catalog(*links: dict, kind: str = "Catalog", **more) -> dict:
    return {"type": kind, "id": "c", "links": list(links), **more}


@pytest.fixture(params=["disk", "http"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where the catalog in ``tmp_path`` is found."""
    if request.param == "disk":
        yield str(tmp_path)
        return
    with FileServer(tmp_path) as server:
        yield server.url


def read(location: str, **options) -> list[RecordSource | Failure]:
    return list(find_records([location], SourceOptions(jobs=3, **options)))


def names(found: list[RecordSource | Failure]) -> list[str]:
    return [record.id if isinstance(record, RecordSource) else str(record) for record in found]


def test_the_order_is_that_of_the_links(tmp_path: Path, root: str) -> None:
    write(tmp_path / "catalog.json", catalog(link("child", "./a/collection.json"), link("item", "b.json")))
    write(tmp_path / "a" / "collection.json", catalog(link("item", "1/1.json"), link("child", "2/catalog.json")))
    write(tmp_path / "a" / "1" / "1.json", item("one"))
    write(tmp_path / "a" / "2" / "catalog.json", catalog(*(link("item", f"../../many/{i}.json") for i in range(30))))
    for i in range(30):
        write(tmp_path / "many" / f"{i}.json", item(f"n{i}"))
    write(tmp_path / "b.json", item("b"))
    found = read(f"{root}/catalog.json")
    assert names(found) == ["one", *(f"n{i}" for i in range(30)), "b"]
    assert isinstance(found[0], RecordSource)
    assert found[0].assets[0].href == f"{root}/a/1/one.tif"


def test_as_pystac_writes_it(tmp_path: Path, data: Path) -> None:
    written = pystac.Catalog("all", "everything")
    source = data / "landsat8-ny-cog" / "items.json"
    for feature in json.loads(source.read_text())["features"][:3]:
        entry = pystac.Item.from_dict(feature | {"collection": None, "links": []})
        entry.set_self_href(str(source))
        entry.make_asset_hrefs_absolute()
        written.add_item(entry)
    written.normalize_and_save(str(tmp_path / "stac"), pystac.CatalogType.SELF_CONTAINED)
    report = build_index(tmp_path / "stac" / "catalog.json", tmp_path / "index", "ny")
    assert (report.records, report.assets, report.failures, report.notices) == (3, 15, (), ())


def test_defaults_of_the_collection(tmp_path: Path, root: str) -> None:
    said = {"red": {"eo:bands": [{"name": "B04", "common_name": "red"}], "type": "image/png"}}
    write(tmp_path / "c.json", catalog(link("child", "sub.json"), kind="Collection", item_assets=said))
    write(tmp_path / "sub.json", catalog(link("item", "a.json")))
    write(tmp_path / "a.json", item("a"))
    (record,) = read(f"{root}/c.json")
    assert isinstance(record, RecordSource)
    assert record.assets[0].hints[0].name == "B04"


def test_circles_and_second_links(tmp_path: Path, root: str) -> None:
    write(tmp_path / "catalog.json", catalog(link("child", "sub.json"), link("item", "a.json"), link("item", "a.json")))
    write(tmp_path / "sub.json", catalog(link("child", "./catalog.json"), link("child", "sub.json")))
    write(tmp_path / "a.json", item("a"))
    place = f"{root}/" if "://" in root else ""
    again = "the catalog links to it more than once: it is read once"
    assert names(read(f"{root}/catalog.json")) == [
        f"{place}catalog.json: {again}",
        f"{place}sub.json: {again}",
        "a",
        f"{place}a.json: {again}",
    ]


def test_broken_links(tmp_path: Path, root: str) -> None:
    links = [link("item", name) for name in ("gone.json", "text.json", "list.json", "b.json")]
    write(tmp_path / "catalog.json", catalog({"rel": "item"}, {"rel": "child", "href": 7}, *links))
    (tmp_path / "text.json").write_text("{")
    write(tmp_path / "list.json", [1])
    write(tmp_path / "b.json", item("b"))
    place, gone = (f"{root}/", "it does not exist (HTTP 404)") if "://" in root else ("", "the file does not exist")
    assert names(read(f"{root}/catalog.json")) == [
        f"{place}gone.json: a link of the catalog is broken: {gone}",
        f"{place}text.json: a link of the catalog is broken: it is not JSON",
        f"{place}list.json: the catalog links to it, and it is not STAC",
        "b",
    ]


def test_a_busy_server_is_asked_again(tmp_path: Path) -> None:
    write(tmp_path / "catalog.json", catalog(link("item", "a.json")))
    write(tmp_path / "a.json", item("a"))
    with FileServer(tmp_path) as server:
        server.faults.unavailable["/a.json"] = 2
        assert names(read(f"{server.url}/catalog.json")) == ["a"]


def test_so_many_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "catalog.json", catalog(*(link("item", f"{i}.json") for i in range(20))))
    for i in range(20):
        write(tmp_path / f"{i}.json", item(str(i)))
    lock, running, most = threading.Lock(), 0, 0

    def slowly(location: str, session: requests.Session) -> object:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        document = load_json(location, session)
        with lock:
            running -= 1
        return document

    monkeypatch.setattr(staccatalog, "load_json", slowly)
    assert len(read(str(tmp_path / "catalog.json"))) == 20
    assert most == 3


def test_links_to_collections_of_items(tmp_path: Path, root: str) -> None:
    write(tmp_path / "catalog.json", catalog(link("items", "page1.json")))
    page = {"type": "FeatureCollection", "features": [item("a")]}
    write(tmp_path / "page1.json", page | {"links": [link("next", "page2.json")]})
    write(tmp_path / "page2.json", {"type": "FeatureCollection", "features": [item("b")]})
    assert names(read(f"{root}/catalog.json")) == ["a", "b"]


class TestPages:
    def test_all_are_read(self, tmp_path: Path, root: str) -> None:
        for i in range(3):
            page = {"type": "FeatureCollection", "features": [item(f"{i}a"), item(f"{i}b")]}
            write(tmp_path / "pages" / f"{i}.json", page | {"links": [link("next", f"{i + 1}.json")] if i < 2 else []})
        found = read(f"{root}/pages/0.json")
        assert names(found) == ["0a", "0b", "1a", "1b", "2a", "2b"]
        assert isinstance(found[5], RecordSource)
        assert found[5].assets[0].href == f"{root}/pages/2b.tif"

    def test_a_circle(self, tmp_path: Path, root: str) -> None:
        page = {"type": "FeatureCollection", "features": [item("a")], "links": [link("next", "page.json")]}
        write(tmp_path / "page.json", page)
        assert names(read(f"{root}/page.json")) == [
            "a",
            "a: an earlier record has the same id",
            "the pages go round in a circle: what they repeat is read once",
        ]

    def test_pages_by_post(self, tmp_path: Path) -> None:
        """As an API gives them, saved by someone who kept the link."""
        entries = [item(str(i)) for i in range(7)]
        with StacApi(entries) as api:
            page = api.search("POST", {"limit": 3})
            write(tmp_path / "page.json", page)
            assert names(read(str(tmp_path / "page.json"))) == [str(i) for i in range(7)]

    @pytest.mark.parametrize(
        ("text", "why"), [("{", "it is not JSON"), ("{}", "it is not an ItemCollection"), (None, "does not exist")]
    )
    def test_a_page_that_cannot_be_read_ends_it(self, tmp_path: Path, root: str, text: str | None, why: str) -> None:
        page = {"type": "FeatureCollection", "features": [item("a")], "links": [link("next", "page2.json")]}
        write(tmp_path / "page.json", page)
        if text is not None:
            (tmp_path / "page2.json").write_text(text)
        with pytest.raises(SourceError, match=f"a further page: .*{why}") as caught:
            read(f"{root}/page.json")
        assert caught.value.hint == 'to index what comes before it, take the link "next" out of the document'


class TestLines:
    LINES = "\n".join(json.dumps(item(name)) for name in "ab")

    @pytest.mark.parametrize("name", ["items.ndjson", "items.json", "items"])
    def test_one_on_each(self, tmp_path: Path, root: str, name: str) -> None:
        (tmp_path / name).write_text(f"{self.LINES}\n\n")
        assert names(read(f"{root}/{name}")) == ["a", "b"]

    def test_gzipped(self, tmp_path: Path, root: str) -> None:
        (tmp_path / "items.jsonl.gz").write_bytes(gzip.compress(self.LINES.encode()))
        (tmp_path / "item.json.gz").write_bytes(gzip.compress(json.dumps(item("c")).encode()))
        assert names(read(f"{root}/items.jsonl.gz")) == ["a", "b"]
        assert names(read(f"{root}/item.json.gz")) == ["c"]

    def test_damaged_compression(self, tmp_path: Path, root: str) -> None:
        (tmp_path / "items.jsonl.gz").write_bytes(gzip.compress(self.LINES.encode())[:-20])
        with pytest.raises(SourceError, match="its compression is damaged, or it ends too early") as caught:
            read(f"{root}/items.jsonl.gz")
        assert caught.value.code is ErrorCode.SOURCE_CORRUPT

    def test_a_bad_line_is_one_failure(self, tmp_path: Path, root: str) -> None:
        (tmp_path / "items.ndjson").write_text(f'{{"id":\n7\n{self.LINES}\n{{"type": "Feature"}}')
        assert names(read(f"{root}/items.ndjson")) == [
            "line 1: it is not JSON",
            "line 2: it is not a STAC item",
            "a",
            "b",
            "line 5: the item has no id",
        ]

    def test_they_are_read_as_they_come(self, tmp_path: Path) -> None:
        (tmp_path / "items.ndjson").write_text(self.LINES)
        found = find_records([str(tmp_path / "items.ndjson")])
        assert names([next(found)]) == ["a"]
        found.close()  # type: ignore[attr-defined]


class TestSeveral:
    def test_an_id_twice(self, tmp_path: Path) -> None:
        write(tmp_path / "one.json", item("a"))
        (tmp_path / "two.ndjson").write_text(
            f"{json.dumps(item('b'))}\n{json.dumps(item('a'))}\n7\n{json.dumps(item('b'))}"
        )
        found = list(find_records([str(tmp_path / "one.json"), str(tmp_path / "two.ndjson")]))
        assert names(found) == [
            "a",
            "b",
            "a: an earlier record, of one.json, has the same id (in two.ndjson)",
            "line 3: it is not a STAC item (in two.ndjson)",
            "b: an earlier record has the same id (in two.ndjson)",
        ]

    def test_of_different_kinds(self, tmp_path: Path, data: Path) -> None:
        sources = [
            data / "dem-alexandria" / "items.json",
            data / "landsat-pucallpa" / "items.json",
            data / "s2-29-scene",
        ]
        report = build_index(sources, tmp_path / "index", "all")
        assert (report.records, report.failures) == (1 + 4 + 2, ())

    def test_the_one_that_is_at_fault_is_named(self, tmp_path: Path) -> None:
        write(tmp_path / "one.json", item("a"))
        write(tmp_path / "two.json", {"type": "Topology"})
        with pytest.raises(RequestError, match=r"the source 'two.json' is not STAC: its type is 'Topology'"):
            list(find_records([str(tmp_path / "one.json"), str(tmp_path / "two.json")]))
        with pytest.raises(SourceError, match=r"the source 'three.json': the file does not exist"):
            list(find_records([str(tmp_path / "one.json"), str(tmp_path / "three.json")]))

    def test_none(self) -> None:
        with pytest.raises(RequestError, match="there is no source to index"):
            list(find_records([]))


@pytest.mark.parametrize(
    ("name", "options", "kind"),
    [
        ("", {"assets": AssetChoice(("red",))}, "a folder"),
        ("item.json", {"pattern": "{id}.tif"}, "STAC"),
    ],
)
def test_options_that_do_not_go_together(tmp_path: Path, name: str, options: dict, kind: str) -> None:
    write(tmp_path / "item.json", item("a"))
    with pytest.raises(RequestError) as caught:
        read(str(tmp_path / name), **options)
    assert caught.value.message == f"the option {next(iter(options))!r} does not go with {kind}"


class TestHttp:
    def test_damaged_body(self, tmp_path: Path) -> None:
        write(tmp_path / "item.json", item("a"))
        with FileServer(tmp_path) as server:
            server.faults.cut_body.add("/item.json")
            with pytest.raises(SourceError, match=r"does not answer|ends too early") as caught:
                read(f"{server.url}/item.json")
        assert caught.value.code is ErrorCode.SOURCE_UNAVAILABLE

    @pytest.mark.parametrize(("status", "code"), [(403, ErrorCode.SOURCE_FORBIDDEN), (410, ErrorCode.SOURCE_NOT_FOUND)])
    def test_refused(self, tmp_path: Path, status: int, code: ErrorCode) -> None:
        with FileServer(tmp_path) as server:
            server.faults.status["/a.json"] = status
            with pytest.raises(SourceError, match=f"HTTP {status}") as caught:
                read(f"{server.url}/a.json?secret=1")
        assert caught.value.code is code
        assert "secret" not in str(caught.value)

    def test_no_url(self) -> None:
        with pytest.raises(SourceError, match="its URL cannot be used") as caught:
            read("http://[x]/a.json")
        assert caught.value.code is ErrorCode.SOURCE_NOT_FOUND

    def test_no_url_in_an_item(self, tmp_path: Path, data: Path) -> None:
        assets = {"bad": {"href": "http://[x]/a.tif"}, "good": {"href": str(data / "variety" / "cog.tif")}}
        write(
            tmp_path / "item.json", {"type": "Feature", "id": "a", "geometry": None, "properties": {}, "assets": assets}
        )
        report = build_index(tmp_path / "item.json", tmp_path / "index", "x")
        assert (report.records, report.assets) == (1, 1)
        assert list(map(str, report.failures)) == ["a/bad: the URL of the file cannot be used"]
