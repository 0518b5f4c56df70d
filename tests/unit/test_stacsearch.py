"""A STAC API is searched over HTTP."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pystac
import pytest

from rasterflight_protocol import ErrorCode
from rasterflight_server.cli import main
from rasterflight_server.errors import RequestError, SourceError
from rasterflight_server.ingest import build_index
from rasterflight_server.ingest.find import SourceOptions, find_records
from rasterflight_server.ingest.sources import Failure, RecordSource
from rasterflight_server.ingest.stacquery import StacQuery
from support.http_server import FileServer
from support.stac_api import CORE, StacApi

START = datetime(2024, 1, 1, tzinfo=UTC)


def items(count: int, href: str = "https://h/{}.tif", collection: str = "s2") -> list[dict]:
    """Items of one day and one degree after the other."""
    found = []
    for i in range(count):
        bbox = [i, 0, i + 0.5, 1]
        ring = [[i, 0], [i + 0.5, 0], [i + 0.5, 1], [i, 1], [i, 0]]
        geometry = {"type": "Polygon", "coordinates": [ring]}
        item = pystac.Item(f"i{i}", geometry, bbox, START + timedelta(days=i), {"eo:cloud_cover": i})
        item.add_asset("red", pystac.Asset(href.format(i), media_type=pystac.MediaType.COG, roles=["data"]))
        found.append(item.to_dict() | {"collection": collection})
    return found


def search(api: StacApi, **parameters) -> list[RecordSource | Failure]:
    return list(find_records([api.url], SourceOptions(search=StacQuery.of(parameters))))


def ids(found: list[RecordSource | Failure]) -> list[str]:
    assert all(isinstance(record, RecordSource) for record in found), found
    return [record.id for record in found]


@pytest.mark.parametrize("methods", [("GET",), ("POST",), ("GET", "POST")])
class TestSearch:
    def test_all_pages(self, methods: tuple[str, ...]) -> None:
        with StacApi(items(23), methods=methods) as api:
            assert ids(search(api, limit=5)) == [f"i{i}" for i in range(23)]
        assert [(one.method, int(one.parameters["limit"])) for one in api.searches] == [(methods[-1], 5)] * 5

    @pytest.mark.parametrize(
        ("parameters", "expected"),
        [
            ({"ids": ["i3", "i5"]}, "i3 i5"),
            ({"collections": ["none"]}, ""),
            ({"collections": ["s2"], "bbox": (2, 0, 3.2, 1)}, "i2 i3"),
            ({"datetime": "2024-01-02/2024-01-03"}, "i1 i2"),
            ({"datetime": "2024-01-07/.."}, "i6 i7"),
            ({"datetime": (None, "2024-01-01")}, "i0"),
            ({"max_items": 3, "limit": 2}, "i0 i1 i2"),
        ],
    )
    def test_filters(self, methods: tuple[str, ...], parameters: dict, expected: str) -> None:
        with StacApi(items(8), methods=methods) as api:
            assert ids(search(api, **parameters)) == expected.split()

    def test_a_busy_server_is_asked_again(self, methods: tuple[str, ...]) -> None:
        with StacApi(items(3), methods=methods, failures=[503, 429, 502], failure_headers={"Retry-After": "0"}) as api:
            assert ids(search(api)) == ["i0", "i1", "i2"]
            assert api.failures == []


def test_what_is_asked_goes_out() -> None:
    area = {"type": "Point", "coordinates": [1.0, 2.0]}
    with StacApi(items(1)) as api:
        search(
            api,
            intersects={"type": "Feature", "properties": {}, "geometry": area},
            filter='"eo:cloud_cover" < 20',
            query=["eo:cloud_cover<=20", "platform=sentinel-2a"],
            sortby=["-datetime", "id"],
        )
        search(api, filter={"op": "<", "args": [{"property": "eo:cloud_cover"}, 20]}, method="GET")
    posted, got = api.searches
    assert posted.parameters == {
        "limit": 100,
        "intersects": area,
        "filter": {"op": "<", "args": [{"property": "eo:cloud_cover"}, 20.0]},
        "filter-lang": "cql2-json",
        "query": {"eo:cloud_cover": {"lte": 20}, "platform": {"eq": "sentinel-2a"}},
        "sortby": [{"field": "datetime", "direction": "desc"}, {"field": "id", "direction": "asc"}],
    }
    assert got.method == "GET"
    assert got.parameters["filter-lang"] == "cql2-text"
    assert got.parameters["filter"] == "eo:cloud_cover < 20"


def test_item_assets_say_what_an_item_does_not() -> None:
    said = {"red": {"roles": ["data"], "eo:bands": [{"name": "B04"}], "raster:bands": [{"scale": 0.5}], "href": "no"}}
    with StacApi(items(2), {"s2": {"type": "Collection", "id": "s2", "item_assets": said}}) as api:
        record, _ = search(api)
    assert isinstance(record, RecordSource)
    (asset,) = record.assets
    assert (asset.href, asset.hints[0].name) == ("https://h/0.tif", "B04")


def test_items_that_are_none() -> None:
    with StacApi([7, *items(1)]) as api:
        bad, good = search(api)
    assert str(bad) == "item 0: it is not a STAC item"
    assert isinstance(good, RecordSource)


def test_relative_hrefs_start_at_the_item() -> None:
    (item,) = items(1, "../{}.tif")
    item["links"] = [{"rel": "self", "href": "https://h/a/b/item.json"}]
    with StacApi([item]) as api:
        (record,) = search(api)
    assert isinstance(record, RecordSource)
    assert record.assets[0].href == "https://h/a/0.tif"


class TestErrors:
    def test_no_search(self, tmp_path: Path) -> None:
        (tmp_path / "catalog.json").write_text(json.dumps({"type": "Catalog", "links": []}))
        with pytest.raises(RequestError, match="no link to a search") as caught:
            list(find_records([str(tmp_path / "catalog.json")], SourceOptions(search=StacQuery())))
        assert (caught.value.code, caught.value.field) == (ErrorCode.BAD_REQUEST, "search")

    def test_an_api_without_a_search(self) -> None:
        with StacApi(items(1)) as api, pytest.raises(RequestError, match="say what of it to index") as caught:
            list(find_records([api.url]))
        assert "--search collections=" in caught.value.hint

    @pytest.mark.parametrize("parameter", [{"filter": "a = 1"}, {"query": ["a=1"]}, {"sortby": ["a"]}])
    def test_what_the_api_does_not_know(self, parameter: dict) -> None:
        with StacApi(items(1), conforms_to=CORE) as api, pytest.raises(RequestError) as caught:
            search(api, **parameter)
        (name,) = parameter
        assert caught.value.message == f"the STAC API does not say that it knows the parameter {name!r}"
        assert api.searches == []

    def test_refused(self) -> None:
        body = '{"description": "no such field"}'
        with StacApi(items(1), failures=[400], failure_body=body) as api, pytest.raises(RequestError) as caught:
            search(api)
        assert caught.value.code is ErrorCode.BAD_REQUEST
        assert caught.value.message == 'the STAC API refuses the search (HTTP 400): {"description": "no such field"}'

    @pytest.mark.parametrize(
        ("status", "code"),
        [(403, ErrorCode.SOURCE_FORBIDDEN), (404, ErrorCode.SOURCE_NOT_FOUND), (501, ErrorCode.SOURCE_UNAVAILABLE)],
    )
    def test_no_answer(self, status: int, code: ErrorCode) -> None:
        with StacApi(items(1), failures=[status]) as api, pytest.raises(SourceError, match=f"HTTP {status}") as caught:
            search(api)
        assert caught.value.code is code
        assert caught.value.message.startswith(f"the source {api.url!r}: ")

    def test_a_page_that_fails_for_good_ends_the_search(self) -> None:
        class Breaking(StacApi):
            def search(self, method: str, parameters: dict) -> dict:
                if "token" in parameters:
                    self.failures[:] = [501]
                return super().search(method, parameters)

        with Breaking(items(12)) as api, pytest.raises(SourceError, match="HTTP 501"):
            search(api, limit=4)

    def test_no_server(self) -> None:
        with StacApi([]) as api:
            url = api.url
        with pytest.raises(SourceError, match="the server does not answer") as caught:
            list(find_records([url], SourceOptions(search=StacQuery())))
        assert caught.value.code is ErrorCode.SOURCE_UNAVAILABLE


def test_from_the_command_line(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FileServer(data) as files:
        href = f"{files.url}/landsat8-017037-20160503/red.tif"
        with StacApi(items(12, href)) as api:
            words = ["collections=s2", "datetime=2024-01-02/2024-01-04", 'filter="eo:cloud_cover" < 20', "limit=2"]
            code = main(["index", api.url, "--search", *words, "--out", str(tmp_path / "index"), "--name", "s2"])
    assert code == 0
    assert capsys.readouterr().out.splitlines()[0] == "s2: 3 records, 3 files, bands red"


def test_from_python(tmp_path: Path, data: Path) -> None:
    with FileServer(data) as files, StacApi(items(12, f"{files.url}/landsat8-017037-20160503/red.tif")) as api:
        report = build_index(api.url, tmp_path / "index", "s2", search={"ids": ["i7", "i2"]})
    assert (report.records, report.failures) == (2, ())
