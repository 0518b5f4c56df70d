"""Parameters of a search, as typed and as Python values."""

from pathlib import Path
from typing import Any

import pytest
import shapely

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.ingest.stacquery import StacQuery, read_words

POINT = {"type": "Point", "coordinates": [1.0, 2.0]}


def typed(*words: str) -> StacQuery:
    return StacQuery.of(read_words(words))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["collections=a,b", "collections=c"], StacQuery(collections=("a", "b", "c"))),
        (["ids=a, b\nc"], StacQuery(ids=("a", "b", "c"))),
        (["bbox=7,46,8.5,47"], StacQuery(bbox=(7, 46, 8.5, 47))),
        (["bbox=170,-20,0,-170,-10,9"], StacQuery(bbox=(170, -20, 0, -170, -10, 9))),
        (["datetime=2024-01/2024-02"], StacQuery(datetime="2024-01/2024-02")),
        (["datetime=/2024-02-01T00:00:00Z"], StacQuery(datetime="../2024-02-01T00:00:00Z")),
        (['intersects={"type": "Point", "coordinates": [1, 2]}'], StacQuery(intersects=POINT)),
        (
            ["query=a<=5", "query=b=x y", 'query={"a": {"gt": 1}}'],
            StacQuery(query={"a": {"lte": 5, "gt": 1}, "b": {"eq": "x y"}}),
        ),
        (["filter=a = 'x=y'"], StacQuery(filter={"op": "=", "args": [{"property": "a"}, "x=y"]})),
        (["sortby=-datetime,id"], StacQuery(sortby=("-datetime", "id"))),
        (["max_items=5", "limit=2", "method=get"], StacQuery(max_items=5, limit=2, method="GET")),
    ],
)
def test_words(words: list[str], expected: StacQuery) -> None:
    assert typed(*words) == expected


def test_values_in_files(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("a\nb\n")
    area = {"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {}, "geometry": POINT}] * 2}
    (tmp_path / "area.geojson").write_text(str(area).replace("'", '"'))
    query = typed(f"ids=@{tmp_path}/ids.txt", f"intersects=@{tmp_path}/area.geojson")
    assert (query.ids, query.intersects) == (("a", "b"), POINT)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"collections": "a", "ids": None}, StacQuery(collections=("a",))),
        ({"datetime": ("2024", None)}, StacQuery(datetime="2024/..")),
        ({"intersects": shapely.Point(1, 2)}, StacQuery(intersects=POINT)),
        ({"query": {"a": {"lt": 1}}}, StacQuery(query={"a": {"lt": 1}})),
    ],
)
def test_python_values(values: dict[str, Any], expected: StacQuery) -> None:
    assert StacQuery.of(values) == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["collections"], "collections: it is not of the form NAME=VALUE"),
        (["collection=a"], "collection: there is no such parameter"),
        (["collections="], "collections: it is a list of names, got []"),
        (["bbox=1,2,3"], "bbox: it is west,south,east,north in degrees, got ['1', '2', '3']"),
        (["bbox=a,b,c,d"], "bbox: it is west,south,east,north in degrees, got ['a', 'b', 'c', 'd']"),
        (["bbox=46,100,47,101"], "bbox: it does not lie on earth: 46, 100, 47, 101"),
        (["bbox=7,47,8,46"], "bbox: it does not lie on earth: 7, 47, 8, 46"),
        (["datetime=yesterday"], "datetime: 'yesterday' is neither a date nor two"),
        (["datetime=../.."], "datetime: '../..' is neither a date nor two"),
        (["datetime=2020/2021/2022"], "datetime: '2020/2021/2022' is neither a date nor two"),
        (["datetime=2020", "datetime=2021"], "datetime: it is given twice"),
        (["intersects=7"], "intersects: it is not GeoJSON"),
        (['intersects={"type": "Polygon", "coordinates": []}'], "intersects: it is empty"),
        (["query=cloudy"], "query: 'cloudy' is neither a comparison nor JSON"),
        (["filter=a <"], "filter: "),
        (["limit=0"], "limit: it is a number from 1 on, got '0'"),
        (["max_items=many"], "max_items: it is a number from 1 on, got 'many'"),
        (["method=PUT"], "method: it is GET or POST, got 'PUT'"),
        (["ids=@/no/such/file"], "ids: the file 'file' cannot be read: No such file or directory"),
    ],
)
def test_what_cannot_be(words: list[str], message: str) -> None:
    with pytest.raises(RequestError) as caught:
        typed(*words)
    assert caught.value.message.startswith(f"search {message}")
    assert (caught.value.code, caught.value.field) == (ErrorCode.BAD_REQUEST, "search")


def test_a_near_name_is_proposed() -> None:
    with pytest.raises(RequestError) as caught:
        StacQuery.of({"dattime": "2024"})
    assert caught.value.hint == "did you mean datetime?"
