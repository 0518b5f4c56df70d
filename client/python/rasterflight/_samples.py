"""Values at points: what is asked for, and the table that comes of it."""

import json
import numbers
from collections.abc import Mapping
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from rasterflight._stream import Stream
from rasterflight.errors import BadRequestError
from rasterflight_protocol.v1.read_pb2 import (
    MATCH_ALL,
    MATCH_LATEST,
    NEIGHBOURHOOD_ALWAYS,
    NEIGHBOURHOOD_IF_CENTER_NODATA,
    NEIGHBOURHOOD_OFF,
    Points,
)

Match = Literal["all", "latest"]
Neighbourhood = Literal["off", "always", "if_center_nodata"]
#: Key of the metadata of a table that lists what is missing from it.
ERRORS_KEY: Final = b"rasterflight_errors"
_MATCH = {"all": MATCH_ALL, "latest": MATCH_LATEST}
_NEIGHBOURHOOD = {
    "off": NEIGHBOURHOOD_OFF,
    "always": NEIGHBOURHOOD_ALWAYS,
    "if_center_nodata": NEIGHBOURHOOD_IF_CENTER_NODATA,
}


def points_message(match: str, max_distance_pixels: int, return_neighbourhood: str) -> Points:
    """Say how points take their pixels; their CRS and coordinates come later.

    Raises
    ------
    BadRequestError
        A value cannot be used.
    """
    if not isinstance(max_distance_pixels, numbers.Integral) or max_distance_pixels < 0:
        raise BadRequestError(
            f"max_distance_pixels is {max_distance_pixels!r}, expected an integer from 0 on",
            field="points.max_distance_pixels",
        )
    neighbourhood = _one_of(_NEIGHBOURHOOD, return_neighbourhood, "return_neighbourhood")
    if neighbourhood != NEIGHBOURHOOD_OFF and max_distance_pixels == 0:
        raise BadRequestError(
            f"return_neighbourhood={return_neighbourhood!r} needs max_distance_pixels, which says how far it reaches",
            field="points.max_distance_pixels",
        )
    return Points(
        match=_one_of(_MATCH, match, "match"),
        max_distance_pixels=int(max_distance_pixels),
        neighbourhood=neighbourhood,
    )


def read_samples(stream: Stream) -> pa.Table:
    """Read a stream of the points layout into a table; see `Collection.sample_points`."""
    table = stream.read_all()
    if "error" not in table.schema.names:
        return table
    table = table.filter(pc.is_null(table["error"])).drop_columns("error")
    if not stream.errors:
        return table
    listed = json.dumps([str(error) for error in stream.errors]).encode()
    return table.replace_schema_metadata({**(table.schema.metadata or {}), ERRORS_KEY: listed})


def _one_of(values: Mapping[str, Any], value: str, name: str) -> Any:
    if value not in values:
        raise BadRequestError(f"{name} is {value!r}, expected one of: {', '.join(values)}", field=f"points.{name}")
    return values[value]
