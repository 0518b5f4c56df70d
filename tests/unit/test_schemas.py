"""The Arrow schemas that both sides use."""

import numpy as np
import pyarrow as pa
import pytest

from rasterflight_protocol import BandField, ErrorCode, band_fields, chips_schema, records_schema
from rasterflight_protocol.v1.error_pb2 import ErrorDetail

BANDS = [
    BandField("B04", "uint16", nodata="0", scale=0.0001, offset=-0.1, unit="1", description="red"),
    BandField("dem", "float32", nodata="nan"),
    BandField("qa", "int64", nodata=str(-(2**63))),
    BandField("mixed", "uint8", nodata_varies=True),
]


def test_band_facts_survive_the_wire() -> None:
    schema = chips_schema(BANDS, with_error=True)
    assert band_fields(pa.ipc.read_schema(schema.serialize())) == BANDS


@pytest.mark.parametrize("band", BANDS, ids=lambda band: band.name)
def test_fill_has_the_dtype(band: BandField) -> None:
    assert band.fill_value().dtype == np.dtype(band.dtype)


def test_nodata_is_exact() -> None:
    assert BANDS[2].nodata_value() == np.int64(-(2**63))
    assert np.isnan(BANDS[1].nodata_value())
    assert BANDS[3].nodata_value() is None
    assert BANDS[3].fill_value() == 0


def test_chips_columns() -> None:
    schema = chips_schema(BANDS[:1])
    assert schema.names == [
        "record_id", "datetime", "cloud_cover", "collection", "geometry_id", "geometry", "crs", "transform",
        "chip_height", "chip_width", "row_off", "height", "width", "B04",
    ]  # fmt: skip
    assert schema.field("B04").type == pa.list_(pa.field("item", pa.uint16(), nullable=False))
    assert schema.field("geometry").metadata[b"ARROW:extension:name"] == b"geoarrow.wkb"
    assert chips_schema([], with_error=True).names[-1] == "error"


def test_records_columns() -> None:
    schema = records_schema([pa.field("eo:cloud_cover", pa.float64())])
    assert schema.names == ["id", "datetime", "geometry", "bbox", "crs", "eo:cloud_cover"]


def test_every_code_has_a_name_of_its_own() -> None:
    assert [code.code for code in ErrorCode] == [code.name for code in ErrorCode]
    assert ErrorDetail(code=ErrorCode.BUSY.code).code == "BUSY"
    assert {code.name for code in ErrorCode if code.retryable} == {"SOURCE_UNAVAILABLE", "BUSY", "DRAINING", "DEADLINE"}
