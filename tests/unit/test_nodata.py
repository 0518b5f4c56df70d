"""GDAL_NODATA in all its spellings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasterflight_protocol import nodata_pixel
from rasterflight_server.ingest.nodata import Nodata, parse_nodata

DTYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64", "complex64"]


@pytest.mark.parametrize(
    ("text", "dtype", "value", "fill"),
    [
        ("0", "uint16", "0", None),
        ("0.0", "uint16", "0", None),
        ("-9999", "int16", "-9999", None),
        ("-9999", "float32", "-9999.0", None),
        (" 7 ", "uint8", "7", None),
        ("7 of 9", "uint8", "7", None),
        ("1,5", "float32", "1.5", None),
        ("1e+20", "float32", repr(float(np.float32(1e20))), None),
        # outside the type: no nodata, but what GDAL writes where nothing is stored
        ("-9999", "uint16", None, None),
        ("-9999", "int8", None, "-128"),
        ("256", "uint8", None, "255"),
        ("inf", "int32", None, str(2**31 - 1)),
        ("NaN", "uint8", None, None),
        # fractions: the whole part is what counts, rounded is what is filled in
        ("0.5", "uint8", "0.5", "1"),
        ("-1.5", "int16", "-1.5", "-2"),
        ("0.1", "uint8", "0.1", None),
        ("nan", "float32", "nan", None),
        ("-1.#IND", "float64", "nan", None),
        ("-inf", "float32", "-inf", None),
        ("1e39", "float32", "inf", None),
        # too few digits for the lowest float32
        ("-3.40282346638529e+38", "float32", "-3.4028234663852886e+38", None),
        ("-3.40282346638529e+38", "float64", "-3.40282346638529e+38", None),
        # 64 bits are never a float
        ("18446744073709551615", "uint64", "18446744073709551615", None),
        ("9007199254740993", "int64", "9007199254740993", None),
        ("-1", "uint64", "18446744073709551615", None),
        ("1" * 5000, "int64", str(2**63 - 1), None),
        ("1e5", "int64", "1", None),
        ("nan", "int64", "0", None),
        ("", "uint8", None, None),
        # C reads no number as 0
        ("none", "uint8", "0", None),
        ("NAN", "float32", "0.0", None),
        ("5", "complex64", "5.0", None),
    ],
)
def test_as_gdal_reads_it(text: str, dtype: str, value: str | None, fill: str | None) -> None:
    assert parse_nodata(text, dtype) == Nodata(value, fill)


@pytest.mark.parametrize("dtype", DTYPES)
@given(text=st.text(max_size=30) | st.floats().map(str) | st.integers().map(str) | st.from_regex(r"\s*[-+]?[\d.,eE]+"))
def test_no_text_breaks_it(dtype: str, text: str) -> None:
    found = parse_nodata(text, dtype)
    for spelled in (found.value, found.fill):
        if spelled is not None:
            assert nodata_pixel(spelled, dtype).dtype == np.dtype(dtype)


@pytest.mark.parametrize("dtype", ["int64", "uint64", "int16", "uint8"])
@given(number=st.integers(-(2**64), 2**65))
def test_whole_numbers_are_exact(dtype: str, number: int) -> None:
    limits = np.iinfo(dtype)
    if limits.min <= number <= limits.max:
        assert int(nodata_pixel(parse_nodata(str(number), dtype).value or "", dtype)) == number
