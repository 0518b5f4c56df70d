"""rasterflight, from a server of its own in another process, as ``rf.local`` starts it."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import shapely

import rasterflight as rf
from benchmarks.readers import Prepared
from benchmarks.scenarios import Grid, Item, Points, Polygons, Windows, Work
from benchmarks.scenes import PIXEL

NAME = "bench"


def build(items: Sequence[Item], index: Path) -> None:
    index.parent.mkdir(parents=True, exist_ok=True)
    source = index.with_suffix(".json")
    source.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    command = [sys.executable, "-m", "rasterflight_server", "index", source, "--out", index, "--name", NAME, "--quiet"]
    subprocess.run(command, check=True)


def prepare(work: Work, index: Path) -> Prepared:
    client = rf.local({NAME: index})
    read, canonical = _how(client.collection(NAME), work)
    return Prepared(read, canonical, psutil.Process().children(recursive=True), client.close)


def _how(collection: rf.Collection, work: Work) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
    bands = list(work.bands)
    match work.area:
        case Windows(windows):
            return (
                lambda: collection.get_numpy(windows=list(windows), bands=bands, ids=work.ids),
                lambda found: found.reshape(len(work.items), len(windows), len(bands), *found.shape[-2:]),
            )
        case Grid(epsg, x, y, side):
            import xarray

            xarray.Dataset({"pixels": ((), 0)})  # the first one imports dask; the first read must not pay for it
            grid = {"crs": epsg, "transform": (PIXEL, 0, x, 0, -PIXEL, y), "width": side, "height": side}
            return (
                lambda: collection.get_xarray(
                    bands=bands, like=grid, resampling="nearest", ids=work.ids, groupby=None, squeeze_geometry=True
                ),
                lambda found: found[bands[0]].values,
            )
        case Points(xy):
            return (
                lambda: collection.sample_points(xy, bands, geometry_crs=work.epsg, ids=work.ids),
                lambda found: found["value"].to_numpy().reshape(len(work.items), len(xy)),
            )
        case Polygons(rings):
            import geopandas  # noqa: F401 - the first read must not pay for it

            shapes = [shapely.Polygon(ring) for ring in rings]
            return (
                lambda: collection.get_gdf(shapes, geometry_crs=work.epsg, bands=bands, ids=work.ids),
                lambda found: [np.asarray(pixels) for pixels in found["data"]],
            )
