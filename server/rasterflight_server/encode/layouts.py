"""What the rows of a plan look like: chips, or pixels."""

from collections.abc import Sequence

import pyarrow as pa

from rasterflight_protocol import ErrorCode, chips_schema, pixels_schema
from rasterflight_protocol.schemas import PIXELS_COLUMNS
from rasterflight_protocol.v1.read_pb2 import LAYOUT_PIXELS
from rasterflight_server.encode.chips import ChipsBatch, plan_metadata
from rasterflight_server.encode.pixels import PixelsBatch
from rasterflight_server.encode.projection import projected
from rasterflight_server.errors import RequestError
from rasterflight_server.plan.blocks import Rows
from rasterflight_server.plan.planner import ReadPlan


class Batches:
    """Makes the batches of a plan, in the layout that it asks for.

    Parameters
    ----------
    plan
        Of the read.

    Raises
    ------
    RequestError
        BAD_REQUEST: the columns asked for are none of the layout, or a band has the name of one of its columns.
    """

    def __init__(self, plan: ReadPlan) -> None:
        self._plan = plan
        self._whole = _schema(plan)
        #: Of the stream.
        self.schema: pa.Schema = projected(self._whole, plan.request.columns)

    def make(self, rows: Sequence[Rows]) -> ChipsBatch:
        """Allocate a batch for some rows of the chips layout, whatever becomes of them."""
        return (PixelsBatch if _has_pixels(self._plan) else ChipsBatch)(self._plan, self._whole, rows)


def plan_schema(plan: ReadPlan) -> pa.Schema:
    """The exact schema of the stream that answers a plan; raises as ``Batches``."""
    return Batches(plan).schema


def _has_pixels(plan: ReadPlan) -> bool:
    return plan.request.layout == LAYOUT_PIXELS


def _schema(plan: ReadPlan) -> pa.Schema:
    """With all columns."""
    with_error, metadata = plan.request.skip_errors, plan_metadata(plan)
    if not _has_pixels(plan):
        areas = plan.request.areas
        crs = None if areas is None else areas.projjson
        return chips_schema(plan.bands, geometry_crs=crs, with_error=with_error, metadata=metadata)
    for name in PIXELS_COLUMNS.intersection(plan.request.bands):
        raise RequestError(
            ErrorCode.BAD_REQUEST,
            f"a band is called {name!r}, and so is a column of the pixels layout",
            field="bands",
            hint="read it in the chips layout, or give the band another name by an alias in collection.toml",
        )
    return pixels_schema(plan.bands, with_error=with_error, metadata=metadata)
