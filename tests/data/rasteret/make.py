"""Builds the collection in this folder with rasteret itself, which needs Python 3.12.

Paths of files are relative to ``tests/data``: rasteret takes them from where it runs, and the tests put the collection there.
``pixels.json`` says what rasteret reads of them.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import rasteret
import shapely

#: Folder of tests/data -> number of its records, and the bands to take: {asset: [(band, sample)]}.
SCENES = {
    "landsat8-ny-cog": (1, {"red": [("red", 0)], "nir08": [("nir08", 0)]}),
    "naip-nd-4709963": (1, {"image": [("red", 0), ("green", 1), ("blue", 2), ("nir", 3)]}),
}


def rows(data: Path):
    for folder, (count, bands) in SCENES.items():
        for item in json.loads((data / folder / "items.json").read_text())["features"][:count]:
            yield {
                "id": item["id"],
                "datetime": item["properties"]["datetime"],
                "geometry": shapely.to_wkb(shapely.geometry.shape(item["geometry"])),
                "assets": {
                    band: {
                        "href": str(Path(folder, item["assets"][key]["href"])),
                        "band_index": sample,
                    }
                    for key, named in bands.items()
                    for band, sample in named
                },
                "platform": folder.partition("-")[0],
            }


def read(folder: Path) -> dict[str, str]:
    """Digest of the pixels of each record and band, as rasteret reads them."""
    collection = rasteret.load(folder)
    digests = {}
    for row in ds.dataset(folder, partitioning="hive").to_table().to_pylist():
        for band, file in row["assets"].items():
            if file is None:
                continue
            header = row[f"{band}_metadata"]
            a, c, e, f = header["transform"]
            # Half a pixel inside, so that no rounding of an edge adds one.
            area = shapely.box(
                c + a / 2, f + e * (header["image_height"] - 0.5), c + a * (header["image_width"] - 0.5), f + e / 2
            )
            one = collection.where(ds.field("id") == row["id"])
            frame = one.get_gdf([area], bands=[band], geometry_crs=row["proj:epsg"], all_touched=True)
            pixels = frame["data"].iloc[0]
            assert pixels.shape == (header["image_height"], header["image_width"]), pixels.shape
            digests[f"{row['id']}/{band}"] = hashlib.sha256(pixels.tobytes()).hexdigest()
    return digests


def main(data: Path) -> None:
    folder = data / "rasteret"
    shutil.rmtree(folder / "mixed_records", ignore_errors=True)
    os.chdir(data)
    table = pa.Table.from_pylist(list(rows(data)))
    rasteret.build_from_table(table, name="mixed", enrich_cog=True, workspace_dir=folder, force=True)
    (folder / "pixels.json").write_text(json.dumps(read(folder / "mixed_records"), indent=1) + "\n")


if __name__ == "__main__":
    main(Path(__file__).resolve().parents[1])
