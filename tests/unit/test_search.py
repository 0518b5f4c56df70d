"""Finding records among many: the same ones as by looking at each, at the cost of looking at few."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from rasterflight_protocol import records_schema
from rasterflight_server.catalog import zones
from rasterflight_server.catalog.database import Database
from rasterflight_server.catalog.filters import CloudCoverBelow, Condition, Dates, Near
from rasterflight_server.catalog.ids import Ids
from rasterflight_server.catalog.search import Search
from rasterflight_server.catalog.zones import Zones

RECORDS = 30_000
START = datetime(2020, 1, 1)  # noqa: DTZ001


def bounds_of_tiles(count: int, seed: int = 0) -> npt.NDArray[np.float64]:
    """Boxes of a degree around a few hundred places, along the Hilbert curve; some records have none."""
    rng = np.random.default_rng(seed)
    places = np.stack([rng.uniform(-179, 179, 300), rng.uniform(-80, 80, 300)])
    x, y = places[:, rng.integers(0, 300, count)] + rng.normal(0, 0.01, (2, count))
    order = gpd.GeoSeries(gpd.points_from_xy(x, y)).hilbert_distance().to_numpy().argsort()
    bounds = np.stack([x - 0.5, y - 0.5, x + 0.5, y + 0.5])[:, order]
    bounds[:, -count // 50 :] = np.nan
    return bounds


BOUNDS = bounds_of_tiles(RECORDS)
numbers = st.floats(-200, 200)
boxes = st.tuples(numbers, numbers, numbers, numbers).map(
    lambda v: (min(v[0], v[2]), min(v[1], v[3]), max(v[0], v[2]), max(v[1], v[3]))
)


def met(bounds: npt.NDArray[np.float64], box: tuple[float, ...], margin: float) -> list[int]:
    xmin, ymin, xmax, ymax = bounds
    dx, dy = margin * (xmax - xmin), margin * (ymax - ymin)
    minx, miny, maxx, maxy = box
    meets = (xmax + dx >= minx) & (xmin - dx <= maxx) & (ymax + dy >= miny) & (ymin - dy <= maxy)
    return np.flatnonzero(meets).tolist()


class TestZones:
    @settings(max_examples=200, deadline=None)
    @given(box=boxes, margin=st.sampled_from([0.0, 0.02, 1.5]))
    def test_as_by_looking_at_each(self, box: tuple[float, ...], margin: float) -> None:
        assert Zones(BOUNDS).meeting(box, margin).tolist() == met(BOUNDS, box, margin)

    @settings(max_examples=200, deadline=None)
    @given(data=st.data(), count=st.integers(0, 100))
    def test_any_bounds_in_any_order(self, data: st.DataObject, count: int) -> None:
        box = boxes | st.just((math.nan,) * 4)
        bounds = np.array(data.draw(st.lists(box, min_size=count, max_size=count))).reshape(-1, 4).T
        # Where only equal numbers touch, too.
        wanted = data.draw(
            boxes if not count else st.sampled_from(bounds.T.tolist()).filter(lambda b: b[0] == b[0]) | boxes
        )
        assert Zones(bounds).meeting(tuple(wanted), 0.1).tolist() == met(bounds, wanted, 0.1)

    @pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 1024, 1025, 32 * 1024 + 1])
    def test_sizes_around_those_of_full_nodes(self, count: int) -> None:
        bounds = np.tile(np.arange(count, dtype=float), (4, 1))
        assert Zones(bounds).meeting((-1, -1, count, count)).tolist() == list(range(count))
        assert Zones(bounds).meeting((count - 1, 0, count, count)).tolist() == [count - 1] * (count > 0)

    def test_few_are_looked_at(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Ten times the records around each place: ten times the answers, and hardly more on the way to them."""
        looked: list[int] = []
        meets: Callable[..., Any] = zones._meets
        monkeypatch.setattr(
            zones, "_meets", lambda bounds, *rest: looked.append(bounds.shape[1]) or meets(bounds, *rest)
        )
        besides = []
        for count in (RECORDS, 10 * RECORDS):
            bounds = bounds_of_tiles(count)
            tree = Zones(bounds)
            x, y = bounds[:2, count // 2] + 0.5
            looked.clear()
            found = tree.meeting((x - 0.1, y - 0.1, x + 0.1, y + 0.1))
            assert count / 300 * 0.5 < len(found) < count / 300 * 4
            besides.append(sum(looked) - len(found))
        assert besides[0] < RECORDS / 30
        assert besides[1] < 4 * besides[0]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    rng = np.random.default_rng(1)
    cloud = rng.uniform(0, 100, RECORDS)
    cloud[::50] = np.nan
    days = rng.integers(0, 1000, RECORDS)
    placed = ~np.isnan(BOUNDS[0])
    shapes = np.where(placed, shapely.to_wkb(shapely.box(*np.nan_to_num(BOUNDS))), None)
    properties = [pa.field("eo:cloud_cover", pa.float64()), pa.field("split", pa.utf8())]
    table = pa.table(
        [
            pa.array([f"r{i * 7919 % RECORDS:06}" for i in range(RECORDS)]),
            pa.array(
                [None if day == 0 else START.replace(tzinfo=UTC) + timedelta(days=day) for day in days.tolist()],
                pa.timestamp("us", "UTC"),
            ),
            pa.array(shapes, pa.binary()),
            pa.array(
                [
                    dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)) if there else None
                    for box, there in zip(BOUNDS.T.tolist(), placed.tolist(), strict=True)
                ],
                records_schema().field("bbox").type,
            ),
            pa.nulls(RECORDS, pa.utf8()),
            pa.array([None if np.isnan(value) else value for value in cloud.tolist()]),
            pa.array([None if i % 11 == 0 else "abc"[i % 3] for i in range(RECORDS)]),
        ],
        schema=records_schema(properties),
    )
    path = tmp_path_factory.mktemp("search") / "records.parquet"
    pq.write_table(table, path, row_group_size=7_000)
    return Database(path)


@pytest.fixture(scope="module")
def search(database: Database) -> Search:
    return Search(database)


class TestSearch:
    """Against records that are looked at one by one."""

    @settings(max_examples=60, deadline=None)
    @given(
        near=st.none() | st.lists(boxes, min_size=1, max_size=2),
        days=st.none() | st.tuples(st.none() | st.integers(-5, 1005), st.none() | st.integers(-5, 1005)),
        limit=st.none() | st.floats(0, 100),
        split=st.none() | st.sampled_from("abx"),
    )
    def test_as_by_sql_over_all(
        self,
        database: Database,
        search: Search,
        near: list[tuple[float, float, float, float]] | None,
        days: tuple[int | None, int | None] | None,
        limit: float | None,
        split: str | None,
    ) -> None:
        asked: list[Any] = []
        sql: list[str] = []
        if near is not None:
            asked.append(Near(tuple(near)))
            names = [f'"rasterflight:{side}"' for side in ("xmax", "xmin", "ymax", "ymin")]
            parts = [
                f"({names[0]} >= {b[0]!r} AND {names[1]} <= {b[2]!r} AND {names[2]} >= {b[1]!r} AND {names[3]} <= {b[3]!r})"
                for b in near
            ]
            sql.append(f"({' OR '.join(parts)})")
        if days is not None:
            start, end = (None if day is None else START + timedelta(days=day) for day in days)
            asked.append(Dates(start, end))
            sql += [f"datetime {op} '{at}'" for op, at in ((">=", start), ("<=", end)) if at is not None]
        if limit is not None:
            asked.append(CloudCoverBelow(limit))
            sql.append(f'"eo:cloud_cover" < {limit!r}::DOUBLE')
        where = [] if split is None else [Condition("split = ?", (split,))]
        sql += [] if split is None else [f"split = '{split}'"]
        found = search.matching(search.narrowed(asked), where)
        query = f'SELECT "rasterflight:row" AS row FROM records WHERE {" AND ".join(sql) or "true"} ORDER BY row'
        assert found.tolist() == database.query(query)["row"].to_pylist()

    def test_expressions_see_only_what_is_left(self, database: Database, search: Search) -> None:
        seen: list[int] = []

        class Watched(Database):
            def __init__(self) -> None:
                vars(self).update(vars(database))

            def query(self, sql: str, parameters: Any = (), rows: Any = None) -> pa.Table:
                seen.append(self.rows if rows is None else len(rows))
                return super().query(sql, parameters, rows)

        watched = Search(Watched())
        left = watched.narrowed([Near(((-10, -10, 10, 10),))])
        assert 0 < len(left) < RECORDS / 20
        assert watched.matching(left, [Condition("split = 'a'", ())]).tolist()
        assert watched.matching(left[:0], [Condition("split = 'a'", ())]).tolist() == []
        assert seen == [len(left)]

    @settings(max_examples=40, deadline=None)
    @given(rows=st.lists(st.integers(0, RECORDS - 1), max_size=20), unknown=st.sets(st.text(max_size=8), max_size=3))
    def test_ids(self, database: Database, rows: list[int], unknown: set[str]) -> None:
        ids = [f"r{row * 7919 % RECORDS:06}" for row in rows]
        found, missing = Ids(database).find([*unknown, *ids, *ids])
        assert found.tolist() == sorted(set(rows))
        assert missing == sorted(unknown)

    def test_ids_of_one_hash(self, database: Database) -> None:
        """Ids are compared, and not only their hashes."""
        ids = Ids(database)
        hashes, rows = ids._sorted
        one = database.table["id"][int(rows[5])].as_py()
        ids.__dict__["_sorted"] = (np.full_like(hashes, hash(one)), rows)
        found, missing = ids.find([one])
        assert (found.tolist(), missing) == ([rows[5]], [])
