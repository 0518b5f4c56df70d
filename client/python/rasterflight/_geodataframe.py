"""A read as a GeoDataFrame."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from rasterflight._chips import read_chips
from rasterflight._extras import need
from rasterflight._geometries import Areas
from rasterflight._numpy import masked_array
from rasterflight._owncolumns import own_rows
from rasterflight._rows import Chip
from rasterflight._stream import Stream, nothing_read
from rasterflight.errors import ColumnCollisionError, GridMismatchError
from rasterflight_protocol import BandField, band_fields

_COLUMNS = (
    "record_id",
    "datetime",
    "cloud_cover",
    "collection",
    "geometry_id",
    "geometry",
    "band",
    "data",
    "transform",
)


def check_columns(areas: Areas | None) -> None:
    """Refuse areas whose own columns have names that the result uses.

    Raises
    ------
    ColumnCollisionError
        Lists them.
    """
    if areas is None:
        return
    if taken := [name for name in areas.column_names if name in _COLUMNS]:
        raise ColumnCollisionError(
            f"the result has columns of its own named {', '.join(taken)}", hint="rename those of the areas"
        )


def read_gdf(stream: Stream, bands: Sequence[str], areas: Areas | None, target_crs: str | None) -> Any:
    """Read a stream of chips into a GeoDataFrame; see `Collection.get_gdf`."""
    geopandas, pandas, affine = need("geopandas", "geo"), need("pandas", "geo"), need("affine", "geo")
    chips = list(map(_own, read_chips(stream, stream.schema)))
    if not chips:
        raise nothing_read(stream)
    fields = {field.name: field for field in band_fields(stream.schema)}
    rows = [(chip, band) for chip in chips for band in chip.pixels]
    if any(len(chip.pixels) < len(bands) for chip in chips):
        rows = _in_order(rows, bands)
    # bands of a chip share it: there are as many as rows otherwise, and they are not small
    transforms = {id(chip): chip.transform and affine.Affine(*chip.transform) for chip in chips}
    geometry, crs = _geometry([chip for chip, _ in rows], areas)
    ids = pandas.Series([chip.geometry_id for chip, _ in rows], dtype="Int64")
    frame = geopandas.GeoDataFrame(
        {
            "record_id": [chip.record_id for chip, _ in rows],
            "datetime": pandas.to_datetime(pandas.Series([chip.datetime for chip, _ in rows]), utc=True),
            "cloud_cover": np.array([chip.cloud_cover for chip, _ in rows], np.float64),
            "collection": [chip.collection for chip, _ in rows],
            "geometry_id": ids if ids.hasnans else ids.astype(np.int64),
            "geometry": geometry,
            "band": [band for _, band in rows],
            "data": _objects(_data(chip, fields[band]) for chip, band in rows),
            "transform": _objects(transforms[id(chip)] for chip, _ in rows),
        },
        geometry="geometry",
        crs=crs,
    )
    if areas is not None and target_crs is not None:
        frame = frame.to_crs(target_crs)
    if areas is not None and areas.columns is not None:
        own = own_rows(areas.columns, frame["geometry_id"].to_numpy() - 1)
        frame = geopandas.GeoDataFrame(pandas.concat([frame, own], axis=1), geometry="geometry", crs=frame.crs)
    if stream.errors:
        frame.attrs["rasterflight_errors"] = [str(error) for error in stream.errors]
    return frame


def _own(chip: Chip) -> Chip:
    """Copy pixels out of the stream: rows outlive their batch, and may be written to."""
    for arrays in (chip.pixels, chip.masks):
        for band, array in arrays.items():
            if not array.flags.owndata:
                arrays[band] = array.copy()
    return chip


def _data(chip: Chip, band: BandField) -> np.ndarray:
    if band.name not in chip.masks:
        return chip.pixels[band.name]
    return masked_array(chip.pixels[band.name], chip.masks[band.name], [band])


def _in_order(rows: list[tuple[Chip, str]], bands: Sequence[str]) -> list[tuple[Chip, str]]:
    """Sort bands that came apart into the order asked for, inside each record and area."""
    position = {band: index for index, band in enumerate(bands)}
    pairs = dict.fromkeys((chip.record_id, chip.geometry_id) for chip, _ in rows)
    rank = {pair: index for index, pair in enumerate(pairs)}
    return sorted(rows, key=lambda row: (rank[row[0].record_id, row[0].geometry_id], position[row[1]]))


def _geometry(chips: Sequence[Chip], areas: Areas | None) -> tuple[np.ndarray, str | None]:
    """The areas asked for; without areas, the outlines of the chips."""
    if areas is not None:
        ids = np.array([chip.geometry_id for chip in chips], np.int64)
        return areas.shapes[ids - 1], areas.crs
    crs = list(dict.fromkeys(chip.crs for chip in chips))
    if len(crs) > 1:
        raise GridMismatchError(
            f"the records are in several CRS: {', '.join(map(str, crs))}; outlines of chips in one frame have one",
            hint="narrow the read by ids= or other filters, or use get_numpy or read",
        )
    shapely = need("shapely", "geo")
    outlines = [chip.transform and shapely.Polygon(_outline(chip, chip.transform)) for chip in chips]
    return _objects(outlines), crs[0]


def _outline(chip: Chip, transform: Sequence[float]) -> list[tuple[float, float]]:
    a, b, c, d, e, f = transform
    corners = ((0, 0), (chip.width, 0), (chip.width, chip.height), (0, chip.height))
    return [(a * col + b * row + c, d * col + e * row + f) for col, row in corners]


def _objects(values: Iterable[Any]) -> np.ndarray:
    """Hold any values one by one; NumPy would make arrays of equal shape into one array."""
    items = list(values)
    array = np.empty(len(items), object)
    for index, item in enumerate(items):
        array[index] = item
    return array
