"""rasteret, from a collection whose headers it has indexed."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import rasteret
import shapely
from rasteret.fetch import cog

from benchmarks.readers import Prepared
from benchmarks.scenarios import Grid, Item, Points, Polygons, Windows, Work
from benchmarks.scenes import PIXEL

# it has no setting for plain http
cog._OBSTORE_CLIENT_OPTIONS["allow_http"] = "true"
logging.getLogger("rasteret").setLevel(logging.CRITICAL)


def build(items: Sequence[Item], index: Path) -> None:
    rows = [
        {
            "id": item["id"],
            "datetime": datetime.fromisoformat(item["properties"]["datetime"]).replace(tzinfo=None),
            "geometry": shapely.to_wkb(shapely.geometry.shape(item["geometry"])),
            "bbox": item["bbox"],
            "collection": "bench",
            "proj:epsg": item["properties"]["proj:epsg"],
            "eo:cloud_cover": item["properties"]["eo:cloud_cover"],
            "assets": {band: {"href": asset["href"]} for band, asset in item["assets"].items() if band != "SCL"},
        }
        for item in items
    ]
    bands = sorted({band for row in rows for band in row["assets"]})
    rasteret.build_from_table(
        pa.Table.from_pylist(rows), name="bench", enrich_cog=True, band_codes=bands, workspace_dir=index, force=True
    )


def prepare(work: Work, index: Path) -> Prepared:
    collection = rasteret.load(index).where(ds.field("id").isin(work.ids))
    return Prepared(*_how(collection, work))


def _how(collection: Any, work: Work) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
    options = {"bands": list(work.bands), "geometry_crs": work.epsg}
    x, y = work.origin
    match work.area:
        case Windows(windows):
            boxes = [_box(x + col * PIXEL, y - row * PIXEL, width) for col, row, width, _ in windows]
            shape = (len(work.items), len(windows), len(work.bands))
            return (
                lambda: collection.get_numpy(boxes, **options),
                lambda found: found.reshape(*shape, *found.shape[-2:]),
            )
        case Grid(epsg, west, north, side):
            bounds = (west, north - side * PIXEL, west + side * PIXEL, north)
            return (
                lambda: collection.read_window(
                    record_ids=work.ids, bounds=bounds, res=(PIXEL, PIXEL), bands=list(work.bands), target_crs=epsg,
                    group_by="id",
                ),
                lambda found: found[:, 0],
            )  # fmt: skip
        case Points(xy):
            table = pa.table({"x": xy[:, 0], "y": xy[:, 1]})
            return (
                lambda: collection.sample_points(table, x_column="x", y_column="y", **options),
                lambda found: _by_record(found, work, len(xy)),
            )
        case Polygons(rings):
            shapes = [shapely.Polygon(ring) for ring in rings]
            return lambda: collection.get_gdf(shapes, **options), lambda found: _patches(found, work, len(rings))


def _box(west: float, north: float, side: int) -> shapely.Polygon:
    """An area whose edges are a metre inside of the pixels', so that no rounding adds a row."""
    return shapely.box(west + 1, north - side * PIXEL + 1, west + side * PIXEL - 1, north - 1)


def _by_record(found: pa.Table, work: Work, points: int) -> np.ndarray:
    place = {record: number for number, record in enumerate(work.ids)}
    values = np.zeros((len(place), points))
    rows = [place[record] for record in found["record_id"].to_pylist()]
    values[rows, found["point_index"].to_numpy()] = found["value"].to_numpy()
    return values


def _patches(found: Any, work: Work, areas: int) -> list[np.ndarray]:
    keys = zip(found["record_id"], found["geometry_id"], found["band"], strict=True)
    pixels = dict(zip(keys, found["data"], strict=True))
    return [
        pixels[record, number, band] for record in work.ids for number in range(1, areas + 1) for band in work.bands
    ]
