"""Areas from files."""

import json
from pathlib import Path
from typing import Any

from rasterflight._extras import need
from rasterflight.errors import BadGeometryError, BadRequestError


def read_areas(path: Path) -> Any:
    """Read a GeoJSON file as a dict, a GeoPackage or GeoParquet file as a GeoDataFrame.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    BadGeometryError
        The file is not what its suffix says.
    BadRequestError
        The suffix is not known.
    """
    suffix = path.suffix.lower()
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    if suffix in (".geojson", ".json"):
        try:
            return json.loads(path.read_bytes())
        except ValueError as error:
            raise BadGeometryError(f"{path} is no GeoJSON: {error}") from None
    if suffix == ".parquet":
        return need("geopandas", "geo").read_parquet(path)
    if suffix == ".gpkg":
        return need("geopandas", "geo").read_file(path)
    raise BadRequestError(f"{path} has the suffix {suffix!r}, expected .geojson, .gpkg or .parquet")
