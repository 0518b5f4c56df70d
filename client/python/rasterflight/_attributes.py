"""What an xarray variable says about its band."""

import json
import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from rasterflight.errors import ColumnCollisionError
from rasterflight_protocol import BandField

#: Names by which xarray decodes and encodes variables; a tag of such a name would be taken for more than a remark.
_TAKEN: Final = frozenset([
    "_FillValue", "missing_value", "scale_factor", "add_offset", "dtype", "calendar", "coordinates", "grid_mapping",
    "bounds", "cell_measures", "ancillary_variables", "formula_terms", "_Unsigned",
])  # fmt: skip
_NETCDF_NAME: Final = re.compile(r"[A-Za-z0-9_][^/\x00-\x1f\x7f]{0,255}")


def attributes(band: BandField) -> dict[str, Any]:
    """Attributes of a band as rioxarray names them; scale and offset are told, not applied."""
    told = {**band.file_tags, **band.tags}
    tags = {name: value for name, value in told.items() if name not in _TAKEN and _NETCDF_NAME.fullmatch(name)}
    facts = {
        "_FillValue": band.nodata_value(),
        "scale_factor": band.scale,
        "add_offset": band.offset,
        "units": band.unit,
        "long_name": band.description,
        "colorinterp": band.colorinterp,
        "colormap": None if band.colormap is None else json.dumps(band.colormap),
        **_flags(band),
    }
    return {**tags, **{name: value for name, value in facts.items() if value is not None}}


def mask_name(band: str) -> str:
    """Name of the variable with the invalid pixels of a band."""
    return f"{band}_mask"


def mask_attributes(band: str) -> dict[str, Any]:
    """Attributes of that variable."""
    return {"long_name": f"{band} has no valid pixel here"}


def check_names(bands: Sequence[BandField]) -> None:
    """Refuse a masked read in which a band has the name of another's mask.

    Raises
    ------
    ColumnCollisionError
        Names the band.
    """
    names = {band.name for band in bands}
    for band in bands:
        if band.masked and mask_name(band.name) in names:
            raise ColumnCollisionError(
                f"the mask of {band.name} would be called {mask_name(band.name)}, as is a band",
                field="bands",
                hint="read the two apart, or use get_gdf",
            )


def _flags(band: BandField) -> dict[str, Any]:
    """Names of classes as CF has them: words without spaces, in one text."""
    if not band.categories:
        return {}
    values, names = zip(*band.categories, strict=True)
    return {
        "flag_values": np.array(values, band.dtype),
        "flag_meanings": " ".join(re.sub(r"\s+", "_", name) for name in names),
    }
