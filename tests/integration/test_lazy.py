"""Datasets that are read later: the same as those that are read at once, whoever computes them."""

import gc
import pickle
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import shapely
import xarray as xr
from distributed import Client as Cluster
from distributed import LocalCluster
from hypothesis import given, settings
from hypothesis import strategies as st

import rasterflight as rf
from rasterflight import errors
from rasterflight._chunk import Chunk
from rasterflight_protocol import unpack
from support.patchwork import ALIKE, build_patchwork
from support.server import ServerProcess
from support.telemetry import stats

SECRET = "s3cret-of-nobody"
AREAS = [
    shapely.Polygon([(700_200, 5_700_100), (701_800, 5_699_900), (701_200, 5_700_900)]),
    shapely.box(700_150, 5_699_700, 700_900, 5_700_300),
]
LIKE = {"crs": 3857, "transform": (17, 0, 654_000, 0, -19, 6_697_800), "width": 260, "height": 230}
AREA = {"geometries": AREAS, "geometry_crs": 32631}
#: Reads of all kinds, by what is about them.
CASES: dict[str, dict[str, Any]] = {
    "as they are": {"bands": ["red", "dem"], "ids": ALIKE},
    "as they are, masked": {"bands": ["red"], "ids": ALIKE, "masked": True},
    "as they are, areas": {"bands": ["red"], "ids": ALIKE, **AREA},
    "one grid": {"bands": ["red", "dem", "scl"]},
    "one grid, areas": {"bands": ["red", "scl"], **AREA},
    "one grid, masked areas": {"bands": ["scl", "red"], **AREA, "masked": True, "all_touched": True},
    "one grid, physical": {"bands": ["red"], "values": "scaled", "groupby": None},
    "overviews": {"bands": ["red", "scl"], "resolution": 40, "resampling": {"scl": "mode"}},
    "nearest": {"bands": ["red", "scl"], "resolution": (33, 21), "resampling": "nearest", "groupby": "solar_day"},
    "cubic in degrees": {"bands": ["dem"], "target_crs": 4326, "resampling": "cubic", **AREA},
    "average, aligned": {"bands": ["red"], "target_crs": 3857, "resolution": 25, "align": 0, "resampling": "average"},
    "bounds": {"bands": ["red", "scl"], "bounds": (700_333, 5_698_000, 702_000, 5_701_500), "target_crs": 32631},
    "like": {"bands": ["red", "dem"], "like": LIKE, "resampling": "bilinear"},
    "like, areas": {"bands": ["red"], "like": LIKE, **AREA, "xr_combine": "merge_override", "groupby": "solar_day"},
    "like, windows": {"bands": ["red"], "like": LIKE, "windows": [(20, 30, 50, 60), (100, 90, 40, 30)]},
    "windows": {"bands": ["red"], "ids": ALIKE, "windows": [(3, 5, 60, 50), (70, 70, 90, 90)]},
}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_patchwork(tmp_path_factory.mktemp("patchwork"))


@pytest.fixture(scope="module")
def server(index: Path) -> Iterator[ServerProcess]:
    with ServerProcess({"patchwork": index}) as process:
        yield process


@pytest.fixture(scope="module")
def patchwork(server: ServerProcess) -> Iterator[rf.Collection]:
    with rf.connect(server.url) as client:
        yield client.collection("patchwork")


@pytest.fixture(scope="module")
def eager(patchwork: rf.Collection) -> dict[str, xr.Dataset]:
    return {name: read(patchwork, **keywords) for name, keywords in CASES.items()}


def read(collection: rf.Collection, **keywords: Any) -> xr.Dataset:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the records are in several CRS", UserWarning)
        return collection.get_xarray(**keywords)


def assert_same(lazy: xr.Dataset, expected: xr.Dataset) -> None:
    assert all(lazy[name].chunks for name in lazy.data_vars)
    dtypes = {name: variable.dtype for name, variable in lazy.variables.items()}
    with dask.config.set(scheduler="threads", num_workers=2):
        computed = lazy.compute()
    xr.testing.assert_identical(computed, expected)
    assert dtypes == {name: variable.dtype for name, variable in expected.variables.items()}
    assert {name: lazy[name].encoding for name in lazy.data_vars} == {
        name: expected[name].encoding for name in expected.data_vars
    }


@pytest.mark.parametrize("name", CASES)
def test_a_dataset_in_chunks_is_the_dataset(patchwork: rf.Collection, eager: dict[str, xr.Dataset], name: str) -> None:
    assert_same(read(patchwork, **CASES[name], chunks={"time": 2, "y": 50, "x": 64}), eager[name])


SIZES = st.none() | st.sampled_from([-1, "auto"]) | st.integers(17, 200)


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(sorted(CASES)),
    chunks=st.fixed_dictionaries(
        {}, optional={"time": st.none() | st.sampled_from([-1, "auto"]) | st.integers(1, 6), "y": SIZES, "x": SIZES}
    ),
)
def test_how_it_is_cut_makes_no_difference(
    patchwork: rf.Collection, eager: dict[str, xr.Dataset], name: str, chunks: dict[str, Any]
) -> None:
    assert_same(read(patchwork, **CASES[name], chunks=chunks), eager[name])


def test_sizes_of_chunks(patchwork: rf.Collection) -> None:
    shape = {name: read(patchwork, bands="red", ids=ALIKE).sizes[name] for name in ("time", "y", "x")}
    for chunks, expected in (
        ({}, ((1, 1), (1,), (shape["y"],), (shape["x"],))),
        ({"time": -1, "y": 100}, ((2,), (1,), (100, shape["y"] - 100), (shape["x"],))),
        ({"time": None, "x": (200, shape["x"] - 200)}, ((2,), (1,), (shape["y"],), (200, shape["x"] - 200))),
    ):
        assert read(patchwork, bands="red", ids=ALIKE, chunks=chunks).red.chunks == expected


@pytest.mark.parametrize(
    ("keywords", "error", "words"),
    [
        ({"chunks": {"band": 1}}, errors.BadRequestError, "chunks names 'band', expected time, y, x"),
        ({"chunks": {"y": 0}}, errors.BadRequestError, "chunks has 0 for y, expected sizes from 1 on, or -1"),
        ({"chunks": {"y": "big"}}, errors.BadRequestError, "chunks cannot be .*: "),
        ({"chunks": {"y": (1, 2)}}, errors.BadRequestError, "chunks cannot be .*: "),
        ({"chunks": 512}, TypeError, "chunks is 512, expected a dict such as {'time': 1"),
        ({"chunks": "auto"}, TypeError, "chunks is 'auto', expected a dict"),
        ({"chunks": {}, "on_error": "skip"}, errors.BadRequestError, "on_error='skip' does not go with chunks"),
        ({"chunks": {}, "progress": True}, errors.BadRequestError, "progress .* chunks are many .*dask.diagnostics"),
        ({"chunks": {}, "ids": "nobody"}, errors.RecordNotFoundError, "nobody"),
        ({"chunks": {}, "geometries": (0, 0, 1, 1)}, errors.NoDataFound, "none of the 5 records overlaps"),
    ],
)
def test_what_cannot_be_read_later_is_refused_now(
    patchwork: rf.Collection, keywords: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        read(patchwork, bands="red", **keywords)


def test_the_warning_about_crs_comes_at_once_and_to_the_caller(patchwork: rf.Collection) -> None:
    with pytest.warns(UserWarning, match="their pixels are put in EPSG:32631") as caught:
        patchwork.get_xarray(bands="red", chunks={})
    assert [warning.filename for warning in caught] == [__file__]


def test_conflicts_are_where_they_are_in_the_whole(patchwork: rf.Collection) -> None:
    keywords = {"bands": "red", "ids": ALIKE, "xr_combine": "merge"}
    with pytest.raises(errors.MergeConflictError) as expected:
        read(patchwork, **keywords)
    row, col = _place(expected.value)
    chunk = read(patchwork, **keywords, chunks={"y": 40, "x": 30}).red[..., row // 40 * 40 :, col // 30 * 30 :]
    with pytest.raises(errors.MergeConflictError) as found:
        chunk[..., :40, :30].compute()
    assert str(found.value) == str(expected.value)


def _place(error: Exception) -> tuple[int, int]:
    words = str(error).replace(",", "").split()
    return int(words[words.index("row") + 1]), int(words[words.index("column") + 1])


# ---- what is in the graph, and who computes it


def tasks_of(dataset: xr.Dataset) -> list[Chunk]:
    values = [getattr(task, "args", task) for task in dict(dataset.__dask_graph__()).values()]
    return [part for args in values if isinstance(args, tuple) for part in args if isinstance(part, Chunk)]


def test_a_chunk_is_a_ticket_for_its_own_records_area_and_extent(patchwork: rf.Collection) -> None:
    lazy = read(patchwork, bands=["red", "scl"], **AREA, resampling={"scl": "mode"}, chunks={"y": 50, "x": 64})
    chunks = tasks_of(lazy)
    assert len(chunks) == sum(np.prod(variable.data.numblocks) for variable in lazy.data_vars.values())
    assert any(chunk.ticket is None for chunk in chunks)
    for chunk in chunks:
        if chunk.ticket is None:
            continue
        request = unpack(chunk.ticket)
        assert list(request.bands) == [chunk.band.name]
        assert set(request.grid.band_resampling) <= {chunk.band.name}
        assert request.snapshot == patchwork.snapshot
        assert len(request.geometries.wkb.values) == 1
        assert [list(one.ids) for one in request.filters] == [list(chunk.steps)]
        assert request.grid.part.maxx - request.grid.part.minx == chunk.extent.width * 10
        assert request.grid.part.maxy - request.grid.part.miny == chunk.extent.height * 10


def test_the_graph_is_small_and_names_depend_on_the_read_alone(patchwork: rf.Collection) -> None:
    one, same = (read(patchwork, bands="red", chunks={"y": 64, "x": 64}) for _ in range(2))
    other = read(patchwork, bands="red", chunks={"y": 64, "x": 64}, all_touched=True)
    assert one.red.data.name == same.red.data.name != other.red.data.name
    assert len(pickle.dumps(one)) < one.nbytes / 4


def test_only_chunks_that_are_needed_are_read(server: ServerProcess, patchwork: rf.Collection) -> None:
    lazy = read(patchwork, bands=["red", "dem"], ids="a", chunks={"y": 64, "x": 64})
    before = stats(server.url)
    lazy.red[0, 0, :10, 70:90].compute()
    after = stats(server.url)
    assert after["streams_started"] - before["streams_started"] == 1
    assert after["tiles_decoded"] - before["tiles_decoded"] == 1


def test_a_token_travels_if_it_was_given_and_is_never_shown(
    server: ServerProcess, patchwork: rf.Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with rf.connect(server.url, token=SECRET) as client:
        given = read(client.collection("patchwork"), bands="red", ids="a", chunks={})
    monkeypatch.setenv("RASTERFLIGHT_TOKEN", SECRET)
    with rf.connect(server.url) as client:
        found = read(client.collection("patchwork"), bands="red", ids="a", chunks={})
    assert SECRET.encode() in pickle.dumps(given)
    assert SECRET.encode() not in pickle.dumps(found)
    assert given.red.data.name == read(patchwork, bands="red", ids="a", chunks={}).red.data.name
    for lazy in (given, found):
        shown = [repr(lazy), str(lazy.red.data.name), *(repr(item) for item in dict(lazy.__dask_graph__()).items())]
        assert SECRET not in "".join(shown)


def test_a_dataset_outlives_its_client(server: ServerProcess, eager: dict[str, xr.Dataset]) -> None:
    with rf.connect(server.url) as client:
        lazy = read(client.collection("patchwork"), **CASES["one grid"], chunks={"y": 64})
    assert_same(lazy, eager["one grid"])


def test_a_private_server_lives_as_long_as_the_dataset(index: Path, eager: dict[str, xr.Dataset]) -> None:
    lazy = read(rf.local({"patchwork": index}).collection("patchwork"), **CASES["one grid"], chunks={"y": 64})
    gc.collect()
    part = (lazy.red + 1)[:1]
    assert_same(lazy, eager["one grid"])
    del lazy
    gc.collect()
    np.testing.assert_array_equal(part.compute(), eager["one grid"].red[:1] + 1)
    closed = rf.local({"patchwork": index})
    with closed:
        lazy = read(closed.collection("patchwork"), bands="red", ids="a", chunks={})
    with pytest.raises(errors.ServerUnavailableError):
        lazy.compute()


def test_what_fails_fails_when_it_is_computed(tmp_path: Path) -> None:
    build_patchwork(tmp_path)
    with ServerProcess({"patchwork": tmp_path / "index"}) as server, rf.connect(server.url) as client:
        lazy = read(client.collection("patchwork"), bands="red", ids="a", chunks={})
        (tmp_path / "a_red.tif").unlink()
        with pytest.raises(errors.SourceNotFoundError, match="patchwork/a/red: the file does not exist"):
            lazy.compute()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with (
        LocalCluster(n_workers=2, threads_per_worker=2, processes=True, dashboard_address=None) as workers,
        Cluster(workers) as client,
    ):
        yield client


@pytest.mark.parametrize("name", ["one grid, masked areas", "like"])
def test_a_cluster_of_processes(
    cluster: Cluster, patchwork: rf.Collection, eager: dict[str, xr.Dataset], name: str
) -> None:
    lazy = read(patchwork, **CASES[name], chunks={"time": 1, "y": 64, "x": 100})
    xr.testing.assert_identical(lazy.compute(scheduler=cluster), eager[name])


def test_a_cluster_reads_from_a_private_server(cluster: Cluster, index: Path, eager: dict[str, xr.Dataset]) -> None:
    lazy = read(rf.local({"patchwork": index}).collection("patchwork"), **CASES["overviews"], chunks={"y": 20})
    gc.collect()
    xr.testing.assert_identical(lazy.compute(scheduler=cluster), eager["overviews"])


def test_errors_come_back_from_a_cluster_as_they_are(cluster: Cluster, patchwork: rf.Collection) -> None:
    lazy = read(patchwork, bands="red", ids=ALIKE, xr_combine="merge", chunks={})
    with pytest.raises(errors.MergeConflictError, match="records a and b differ in red") as caught:
        lazy.compute(scheduler=cluster)
    assert isinstance(caught.value, ValueError)
    assert caught.value.hint == "xr_combine='combine_first' takes the first"
