"""What the client shows of a collection: as text, in notebooks, and on a map."""

import builtins
import datetime as dt
from html.parser import HTMLParser

import matplotlib as mpl
import numpy as np
import pyarrow as pa
import pytest
import shapely

import rasterflight as rf
from rasterflight import errors
from rasterflight._sparkline import histogram
from support.fake_server import RECORDS, TOY, Answers, serving

mpl.use("Agg")

RED = {
    "name": "red",
    "dtype": "uint16",
    "nodata": "0",
    "aliases": ["B04", "rot"],
    "scale": 0.0001,
    "offset": -0.1,
    "unit": "1",
    "description": "red <light>",
    "classes": False,
    "resolution": [10.0, 20.0],
    "newer": "unknown",
}
SCL = {"name": "scl", "dtype": "uint8", "nodata": None, "aliases": [], "classes": True, "resolution": [20.0]}
FULL = {
    **TOY,
    "records": 12345,
    "bands": [RED, SCL],
    "title": "Ten <b>years",
    "description": "Sentences that go on and on, " * 6,
    "license": "CC-BY-4.0",
    "attribution": "Contains modified data",
    "providers": [{"name": "ESA", "roles": ["producer", "licensor"], "url": None}, {"name": "Us", "roles": []}],
    "crs": ["EPSG:32618", "EPSG:32617"],
    "crs_counts": {"EPSG:32617": 12000, "EPSG:32618": 345},
    "crs_units": {"EPSG:32617": "metre", "EPSG:32618": "metre"},
    "months": {"2023-11": 1, "2024-01": 8, "2024-02": 4},
}


@pytest.fixture
def toy():
    """Open the collection; gives it with what the server answers."""
    answers = Answers(collections=[FULL])
    with serving(answers) as url, rf.connect(url) as client:
        yield client.collection("toy"), answers


def test_describe(toy):
    text = toy[0].describe()
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "toy: Ten <b>years"
    assert "records      12,345" in lines
    assert "crs          EPSG:32617 (12,000); EPSG:32618 (345)" in lines
    assert "license      CC-BY-4.0" in lines
    assert "providers    ESA (producer, licensor); Us" in lines
    time = lines.index("time         2024-01-01 to 2024-01-02")
    assert lines[time + 1 : time + 3] == [
        "             ▁ █▄",
        "             2023-11 to 2024-02 by month, at most 8",
    ]
    assert lines[-4:] == [
        "BAND  DTYPE   RESOLUTION       NODATA  SCALE   OFFSET  UNIT     NAMES",
        "red   uint16  10 m and 1 more  0       0.0001  -0.1    1        B04, rot; red",
        "                                                                <light>",
        "scl   uint8   20 m                                     classes",
    ]
    plain = toy[0].describe("ascii")
    assert plain.isascii()
    assert plain.splitlines()[time + 1] == "             . #="


def test_sizes_have_a_unit_only_where_all_records_share_it():
    units = {"EPSG:32617": "metre", "EPSG:4326": "degree"}
    answers = Answers(collections=[FULL | {"crs_counts": dict.fromkeys(units, 7), "crs_units": units}])
    with serving(answers) as url, rf.connect(url) as client:
        assert "red   uint16  10 and 1 more " in client.collection("toy").describe()


def test_repr(toy):
    collection, _ = toy
    assert repr(collection).splitlines() == [
        "<rasterflight.Collection 'toy' Ten <b>years",
        "  records  12,345, 2024-01-01 to 2024-01-02",
        "  extent   -75, 40, -73, 42",
        "  crs      EPSG:32617 (12,000); EPSG:32618 (345)",
        "  bands    red (uint16, 10 m and 1 more); scl (uint8, 20 m, classes)>",
    ]
    narrowed = repr(collection.subset(cloud_cover_lt=20))
    assert "records  some of 12,345" in narrowed
    assert narrowed.endswith("where    cloud_cover_lt: 20>")
    assert (collection.title, collection.license) == ("Ten <b>years", "CC-BY-4.0")
    assert (collection.attribution, collection.bands) == ("Contains modified data", ["red", "scl"])


class Balanced(HTMLParser):
    """Counts tags that are open."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_html(toy):
    collection, _ = toy
    html = collection.subset(where="a < 5")._repr_html_()
    parser = Balanced()
    parser.feed(html)
    assert parser.open == []
    assert parser.seen.count("rect") == 4
    assert "Ten &lt;b&gt;years" in html
    assert "red &lt;light&gt;" in html
    assert "a &lt; 5" in html
    assert "<b>years" not in html


@pytest.mark.parametrize(
    ("months", "by", "counts"),
    [
        ({"2024-03": 5}, "month", [5]),
        ({"2023-12": 1, "2024-02": 2}, "month", [1, 0, 2]),
        ({"2020-01": 1, "2024-01": 2, "2024-05": 3}, "year", [1, 0, 0, 0, 5]),
        ({"1984-07": 1, "2026-01": 1}, "year", [1, *[0] * 41, 1]),
    ],
)
def test_histogram(months, by, counts):
    found = histogram(months)
    assert (found.by, list(found.counts)) == (by, counts)
    assert len(found.bars()) == len(counts)
    assert all((bar == " ") == (count == 0) for bar, count in zip(found.bars("ascii"), counts, strict=True))


def test_no_times_no_histogram():
    assert histogram({}) is None


def records(footprints, **columns):
    """Rows of records with these footprints."""
    times = [dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=n) for n in range(len(footprints))]
    table = pa.table(
        {
            "id": [f"r{n}" for n in range(len(footprints))],
            "datetime": pa.array(times, RECORDS.field("datetime").type),
            "geometry": pa.array([None if shape is None else shape.wkb for shape in footprints], pa.binary()),
            "bbox": pa.nulls(len(footprints), RECORDS.field("bbox").type),
            "crs": pa.nulls(len(footprints), pa.utf8()),
            "eo:cloud_cover": pa.array(np.linspace(0, 100, len(footprints))),
        }
    )
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    return table


def grid(count):
    return [shapely.box(x, y, x + 1.5, y + 1.5) for x in range(count) for y in range(count)]


def drawn(ax):
    return [path.vertices for path in ax.collections[0].get_paths()]


def test_plot(toy):
    collection, answers = toy
    answers.records = records([*grid(3), None])
    ax = collection.plot(facecolor="none")
    assert len(drawn(ax)) == 9
    left, right = ax.get_xlim()
    assert left < 0
    assert right > 3.5
    figure, mine = mpl.pyplot.subplots()
    assert collection.plot("eo:cloud_cover", ax=mine, cmap="magma") is mine
    np.testing.assert_allclose(mine.collections[0].get_array(), np.linspace(0, 100, 10)[:9])
    assert figure.axes[1].get_ylabel() == "eo:cloud_cover"
    ax = collection.plot("datetime")
    assert len(ax.figure.axes) == 2
    assert np.diff(ax.collections[0].get_array()).tolist() == [1.0] * 8
    mpl.pyplot.close("all")


def test_plot_of_kinds(toy):
    collection, answers = toy
    answers.records = records(grid(3), platform=["a", "b", None] * 3)
    ax = collection.plot("platform")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["-", "a", "b"]
    assert len({tuple(colour) for colour in ax.collections[0].get_facecolor()}) == 3
    answers.records = records(grid(5), platform=[str(n) for n in range(25)])
    with pytest.raises(errors.BadRequestError, match="has 25 different values, colours tell 20 apart"):
        collection.plot("platform")
    mpl.pyplot.close("all")


def test_plot_of_many(toy):
    collection, answers = toy
    answers.records = records(grid(71))
    ax = collection.plot()
    assert len(drawn(ax)) == 71 * 71
    ax.figure.canvas.draw()
    mpl.pyplot.close("all")


def test_plot_at_the_antimeridian(toy):
    collection, answers = toy
    across = shapely.MultiPolygon([shapely.box(178, -18, 180, -16), shapely.box(-180, -18, -179, -16)])
    answers.records = records([shapely.box(177, -18, 178, -16), across])
    ax = collection.plot()
    assert [(part[:, 0].min(), part[:, 0].max()) for part in drawn(ax)] == [(177, 178), (178, 180), (180, 181)]
    assert ax.xaxis.get_major_formatter()(181, 0) == "-179"
    # What goes round the globe is left as it is.
    answers.records = records([shapely.box(x, 0, x + 10, 10) for x in range(-180, 180, 10)])
    assert min(part[:, 0].min() for part in drawn(collection.plot())) == -180
    mpl.pyplot.close("all")


def test_what_cannot_be_plotted(toy, monkeypatch):
    collection, answers = toy
    answers.records = records([None])
    with pytest.raises(errors.NoDataFound, match="none of the records has a footprint"):
        collection.plot()
    answers.records = records(grid(1))
    with pytest.raises(errors.BadRequestError, match="no column 'nope'") as caught:
        collection.plot("nope")
    assert "eo:cloud_cover" in caught.value.hint
    with pytest.raises(errors.BadRequestError, match="'bbox' is struct"):
        collection.plot("bbox")
    plain = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return plain(name, *args, **kwargs)

    monkeypatch.setattr("importlib.import_module", without)
    with pytest.raises(ImportError, match=r'matplotlib is not installed: pip install "rasterflight\[plot\]"'):
        collection.plot()
