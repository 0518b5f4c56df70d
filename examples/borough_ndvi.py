"""NDVI of New York's boroughs through 2018: index six Landsat scenes, read them by area, print a table, draw a picture.

Run it with ``make demo``. It does what a user of a large archive does: build an index once, ask for a plan, read what is needed.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import geopandas as gpd
import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import dates, patheffects
from matplotlib import pyplot as plt

import rasterflight as rf

# No window: the picture goes to a file.
mpl.use("Agg")

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "data"
OUT = ROOT / "out"
INDEX = OUT / "landsat8-ny"
#: What the picture shows: wider than the boroughs.
AROUND = (-74.75, 40.2, -73.1, 41.25)
#: Surface that Landsat did not see.
FILL = 0


def main() -> None:
    """Run the demo."""
    OUT.mkdir(exist_ok=True)
    build_index()
    boroughs = gpd.read_file(DATA / "aoi" / "nyc-boroughs.geojson")[["BoroName", "geometry"]]
    with rf.local({"ny": INDEX}) as client:
        ny = client.collection("ny")
        print(f"\n{ny}\n\nPlan for {len(boroughs)} boroughs, bands red and nir08:")
        print(ny.plan(geometries=boroughs, bands=["red", "nir08"]))
        table = ndvi_table(ny.get_gdf(geometries=boroughs, bands=["red", "nir08"]))
        print(f"\nMean NDVI by borough and date, New York 2018\n\n{table.round(3).to_string(na_rep='-')}\n")
        picture = draw(ny, boroughs, table)
    print(f"picture: {picture.relative_to(ROOT)}")


def build_index() -> None:
    """Index the bundled scenes, as a user would on the command line."""
    command = Path(sys.executable).with_name("rasterflight-server")
    items = DATA / "landsat8-ny-cog" / "items.json"
    subprocess.run([command, "index", items, "--out", INDEX, "--name", "ny"], check=True)  # noqa: S603 - our own command


def ndvi(red: Any, nir: Any) -> Any:
    """(nir - red) / (nir + red), NaN where there is no measurement."""
    red, nir = red.astype("float32"), nir.astype("float32")
    seen = (red != FILL) & (nir != FILL)
    return np.divide(nir - red, nir + red, out=np.full(red.shape, np.nan, "float32"), where=seen)


def ndvi_table(chips: gpd.GeoDataFrame) -> pd.DataFrame:
    """Mean NDVI, a row per borough and a column per date; gaps where a scene does not show the borough."""
    bands = chips.pivot(index=["BoroName", "datetime"], columns="band", values="data")
    means = [
        float(np.nanmean(values)) if np.isfinite(values).any() else np.nan
        for values in (ndvi(row.red, row.nir08) for row in bands.itertuples())
    ]
    table = pd.Series(means, index=bands.index).unstack("datetime")
    return table.rename(columns=lambda date: f"{date:%d %b}")


def draw(ny: rf.Collection, boroughs: gpd.GeoDataFrame, table: pd.DataFrame) -> Path:
    """Draw the clearest summer scene, its NDVI, and the time series."""
    bands = ["red", "green", "blue", "nir08"]
    july = ny.subset(date_range=("2018-07-01", "2018-07-31"))
    scene = july.get_xarray(geometries=AROUND, bands=bands, squeeze_geometry=True).isel(time=0)
    outlines = boroughs.to_crs(scene.spatial_ref.crs_wkt)
    half_x, half_y = (abs(float(axis[1] - axis[0])) / 2 for axis in (scene.x, scene.y))
    extent = (
        float(scene.x[0]) - half_x, float(scene.x[-1]) + half_x, float(scene.y[-1]) - half_y, float(scene.y[0]) + half_y,
    )  # fmt: skip

    figure, (left, middle, right) = plt.subplots(
        1, 3, figsize=(17, 5.4), width_ratios=[1, 1, 0.95], layout="constrained"
    )
    left.imshow(true_colour(scene), extent=extent, interpolation="nearest")
    left.set_title("Landsat 8, true colour")
    index = ndvi(scene.red.values, scene.nir08.values)
    image = middle.imshow(index, extent=extent, cmap="RdYlGn", vmin=-0.2, vmax=0.6, interpolation="nearest")
    figure.colorbar(image, ax=[left, middle], label="NDVI", shrink=0.9, pad=0.01)
    middle.set_title("NDVI")
    for panel in (left, middle):
        outlines.boundary.plot(ax=panel, color="black", linewidth=0.8)
        panel.set(xlim=extent[:2], ylim=extent[2:], xticks=[], yticks=[], xlabel="", ylabel="")
        label(panel, outlines)
    for name, row in table.iterrows():
        series = row.dropna()
        right.plot(pd.to_datetime(series.index + " 2018", format="%d %b %Y"), series.to_numpy(), "o-", label=name)
    right.set(title="Mean NDVI of the boroughs", ylabel="NDVI")
    right.xaxis.set_major_formatter(dates.DateFormatter("%b"))  # type: ignore[no-untyped-call]
    right.grid(alpha=0.3)
    right.legend(frameon=False, fontsize=9)
    date = pd.Timestamp(scene.time.values)
    figure.suptitle(f"New York, maps of {date:%d %B %Y}: Landsat 8 at 3 km, by rasterflight", fontsize=14)
    path = OUT / "borough_ndvi.png"
    figure.savefig(path, dpi=110)
    return path


def true_colour(scene: Any) -> Any:
    """Red, green and blue as numbers from 0 to 1, each stretched between its 2nd and 98th percentiles, and lightened."""
    colours = np.stack([scene[band].values for band in ("red", "green", "blue")], axis=-1).astype("float32")
    seen = (colours != FILL).all(axis=-1)
    low, high = np.percentile(colours[seen], [2, 98], axis=0)
    stretched = np.clip((colours - low) / (high - low), 0, 1) ** 0.6
    stretched[~seen] = 1
    return stretched


def label(panel: Any, outlines: gpd.GeoDataFrame) -> None:
    """Write each borough's name on it."""
    halo = [patheffects.withStroke(linewidth=2.5, foreground="white")]
    places = outlines.representative_point()
    for name, x, y in zip(outlines.BoroName, places.x, places.y, strict=True):
        panel.annotate(name, (x, y), ha="center", fontsize=8, path_effects=halo)


if __name__ == "__main__":
    main()
