"""Datasets written to files and opened by rioxarray: still the same places, and the same holes."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rioxarray  # noqa: F401 - the accessor .rio
import xarray as xr
from pyproj import CRS

import rasterflight as rf
from support.patchwork import ALIKE, build_patchwork

READS: dict[str, dict[str, Any]] = {
    "as it is": {"ids": ALIKE},
    "made": {"target_crs": 3857, "resolution": 30},
    "in degrees": {"target_crs": 4326, "resampling": {"dem": "cubic", "scl": "mode"}},
    "of most": {"target_crs": 32631, "bounds": (700_000, 5_699_000, 702_000, 5_701_000), "resolution": 50},
    "overviews": {"target_crs": 32631, "resolution": 40, "masked": True},
}


@pytest.fixture(scope="module")
def patchwork(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rf.Collection]:
    with rf.local({"patchwork": build_patchwork(tmp_path_factory.mktemp("patchwork"))}) as client:
        yield client.collection("patchwork")


def netcdf(dataset: xr.Dataset, path: Path) -> xr.Dataset:
    dataset.to_netcdf(path, engine="h5netcdf")
    return xr.open_dataset(path, engine="h5netcdf", decode_coords="all")


def zarr(dataset: xr.Dataset, path: Path) -> xr.Dataset:
    dataset.to_zarr(path, consolidated=False)
    return xr.open_zarr(path, consolidated=False, decode_coords="all")


@pytest.mark.parametrize("write", [netcdf, zarr])
@pytest.mark.parametrize(("name", "chunks"), [*((name, None) for name in READS), ("made", {"time": -1, "y": 50})])
def test_crs_transform_and_nodata_stay(
    patchwork: rf.Collection,
    tmp_path: Path,
    name: str,
    chunks: dict[str, int] | None,
    write: Callable[[xr.Dataset, Path], xr.Dataset],
) -> None:
    read = READS[name]
    dataset = patchwork.get_xarray(bands=["red", "dem", "scl"], **read, chunks=chunks)
    with write(dataset, tmp_path / "written") as back:
        assert CRS(back.rio.crs) == CRS(dataset.rio.crs) == CRS(read.get("target_crs", 32631))
        assert back.rio.transform() == dataset.rio.transform() == back.rio.transform(recalc=False)
        np.testing.assert_array_equal(back.rio.transform(recalc=True), dataset.rio.transform(recalc=True))
        assert list(back.record_id.values) == list(dataset.record_id.values)
        np.testing.assert_array_equal(back.time, dataset.time)
        for band in ("red", "dem", "scl"):
            written, found = dataset[band].compute(), back[band]
            nodata = written.rio.nodata
            assert found.rio.crs == dataset.rio.crs
            # a reader that decodes has NaN for it, and remembers what it was
            if nodata is None:
                assert found.rio.nodata is None
                np.testing.assert_array_equal(found, written)
            else:
                np.testing.assert_equal(found.rio.encoded_nodata, nodata)
                np.testing.assert_array_equal(found, written.where(written != nodata))
            for fact in ("resampling", "overview_level"):
                np.testing.assert_array_equal(found.attrs.get(fact), written.attrs.get(fact))
