"""A collection of a hundred small records, with properties to filter by."""

import json
from pathlib import Path

import numpy as np
from affine import Affine

from rasterflight_server.ingest import build_index
from support.scenes import write_scene

BANDS = ["B02", "B03", "B04", "B08"]
RECORDS = 100
SIDE = 16


def pixels_of(record: int, band: int) -> np.ndarray:
    """Pixels of a band, with holes (0)."""
    found = (np.arange(SIDE * SIDE).reshape(SIDE, SIDE) * (band + 1) + record) % 11
    return found.astype("uint16")


def build_many(folder: Path) -> Path:
    """Write the files and index them; gives the folder of the index."""
    folder.mkdir()
    features = []
    for record in range(RECORDS):
        name = f"r{record:02}"
        east = 500_000 + 40 * (record % 10)
        for number, band in enumerate(BANDS):
            transform = Affine(10, 0, east, 0, -10, 5_700_000)
            write_scene(
                folder / f"{name}_{band}.tif", pixels_of(record, number), tile=16, transform=transform, nodata=0
            )
        features.append(
            {
                "type": "Feature",
                "stac_version": "1.0.0",
                "id": name,
                "geometry": None,
                "properties": {
                    "datetime": f"2024-{1 + record // 10:02}-{1 + record % 10:02}T10:00:00.123456Z",
                    "eo:cloud_cover": None if record % 7 == 3 else record * 1.0,
                    "platform": ["a", "b", None][record % 3],
                    "orbit": record % 5,
                },
                "assets": {band: {"href": f"{name}_{band}.tif", "type": "image/tiff"} for band in BANDS},
                "links": [],
            }
        )
    items = folder / "items.json"
    items.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    build_index(items, folder / "index", "many")
    return folder / "index"
