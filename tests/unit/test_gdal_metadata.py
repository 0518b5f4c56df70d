"""GDAL_METADATA, tags of text, and colours: what a file says about its pixels."""

import json
from pathlib import Path

import pytest

from rasterflight_server.ingest.gdal import parse_metadata
from rasterflight_server.ingest.header import Header, read_header
from rasterflight_server.store import open_source
from support.tiff import ASCII, SHORT, Tags, tags, tiff


def read(directory: Tags, tmp_path: Path) -> Header:
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(directory))
    with open_source(str(path)) as source:
        return read_header(source)


def test_roles_and_tags() -> None:
    found = parse_metadata(
        """<GDALMetadata>
          <Item name="OFFSET" sample="1" role="offset">-0.1</Item>
          <Item name="SCALE" sample="1" role="scale">0.0001</Item>
          <Item name="UNITTYPE" sample="1" role="unittype">m &amp; s</Item>
          <Item name="DESCRIPTION" sample="0" role="description">Red &lt;4&gt;</Item>
          <Item name="COLORINTERP" sample="1" role="colorinterp">NIR</Item>
          <Item name="AREA">2</Item>
          <Item name="TWICE">a &amp;amp; b</Item>
          <Item name='KIND' sample='1'><![CDATA[x<y]]></Item>
          <Item name="STATISTICS_MEAN" sample="0">5</Item>
          <Item name="ELSEWHERE" domain="RPC">5</Item>
          <Item name="EMPTY"></Item>
        </GDALMetadata>""",
        2,
    )
    assert found.roles == [
        {"description": "Red <4>"},
        {"scale": "0.0001", "offset": "-0.1", "unit": "m & s", "colorinterp": "NIR"},
    ]
    assert found.file == {"AREA": "2", "TWICE": "a & b"}
    assert found.bands == [{}, {"KIND": "x<y"}]
    assert json.loads(found.to_json()) == {"file": found.file, "bands": {"1": {"KIND": "x<y"}}}


@pytest.mark.parametrize(
    "xml",
    [
        '<Item sample="7" role="scale">2</Item>',
        '<Item sample="-1" role="scale">2</Item>',
        '<Item sample="99999999999999999999" role="scale">2</Item>',
        '<!DOCTYPE x [<!ENTITY a "b">]>',
        "<Item " * 100_000,
        "<Item " + "a" * 1_000_000,
        '<Item name="a"><![CDATA[' * 1_000,
    ],
)
def test_nonsense_says_nothing(xml: str) -> None:
    found = parse_metadata(xml, 1)
    assert (found.file, found.bands, found.roles) == ({}, [{}], [{}])
    assert not found.to_json()


def test_long_values_are_left_out() -> None:
    xml = f'<Item name="LONG">{"x" * 5000}</Item><Item name="SHORT">x</Item>'
    assert parse_metadata(xml, 1).file == {"SHORT": "x"}


@pytest.mark.parametrize("text", ["two", "inf", "nan", ""])
def test_a_scale_that_is_no_number_is_none(text: str, tmp_path: Path) -> None:
    xml = f'<GDALMetadata><Item name="SCALE" sample="0" role="scale">{text}</Item></GDALMetadata>\0'
    assert read(tags(t42112=(ASCII, xml.encode())), tmp_path).profile.bands[0].scale is None


def test_texts_of_the_tiff_are_tags_of_the_file(tmp_path: Path) -> None:
    header = read(tags(t305=(ASCII, b"Paint 1.0\0"), t306=(ASCII, b"2024:01:01 00:00:00\0")), tmp_path)
    assert json.loads(header.tags)["file"] == {
        "TIFFTAG_SOFTWARE": "Paint 1.0",
        "TIFFTAG_DATETIME": "2024:01:01 00:00:00",
    }
    # what differs from file to file is no part of what files have in common
    assert header.profile == read(tags(), tmp_path).profile


@pytest.mark.parametrize(
    ("values", "entry"), [([0, 1, 255], 1), ([0, 256, 65280], 1), ([0, 257, 65535], 1), ([0, 1000, 65535], 3)]
)
def test_colour_tables_of_8_and_16_bits(values: list[int], entry: int, tmp_path: Path) -> None:
    table = (values + [0] * 253) * 3
    header = read(tags(t262=(SHORT, [3]), t320=(SHORT, table), t42113=(ASCII, b"2\0")), tmp_path)
    assert header.profile.colormap is not None
    assert header.profile.colormap[:3] == ((0, 0, 0, 255), (entry,) * 3 + (255,), (255, 255, 255, 0))
    assert header.profile.bands[0].colorinterp == "palette"
