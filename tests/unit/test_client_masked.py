"""Masked chips in the client: whole, in blocks, in arrays, frames and cubes."""

import datetime as dt

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from rasterflight import errors
from rasterflight._chips import read_chips
from rasterflight_protocol import BandField, chips_schema
from support.fake_server import CRS_METADATA, batch, blocks, collection, pixels, row

RED = BandField("red", "uint16", "7", masked=True)
NIR = BandField("nir", "uint16", masked=True)
ONE = chips_schema([RED], metadata=CRS_METADATA)
TWO = chips_schema([RED, NIR], metadata=CRS_METADATA)


def lists(array: np.ma.MaskedArray) -> list:
    return array.ravel().tolist()


def masked(one: dict, **bands: np.ma.MaskedArray) -> dict:
    """Put masked pixels into a row."""
    return {**one, **{name: lists(array) for name, array in bands.items()}}


def holes(array: np.ndarray, *where: int) -> np.ma.MaskedArray:
    mask = np.zeros(array.size, bool)
    mask[list(where)] = True
    return np.ma.MaskedArray(array, mask.reshape(array.shape))


def at(col: int = 0) -> list[float]:
    return [10.0, 0.0, 500000.0 + 10 * col, 0.0, -10.0, 4500000.0]


def day(number: int) -> dt.datetime:
    return dt.datetime(2024, 1, number, tzinfo=dt.UTC)


def shaped(record: str, array: np.ma.MaskedArray, **facts) -> dict:
    """A row of one chip in the band red."""
    return masked(row(record, red=array.data, **facts), red=array)


@given(
    mask=st.lists(st.booleans(), min_size=6, max_size=6),
    before=st.integers(0, 9),
    cut=st.sampled_from([(3,), (1, 2), (2, 1), (1, 1, 1)]),
)
@settings(deadline=None)
def test_nulls_are_masks_wherever_the_batch_is_cut(mask: list[bool], before: int, cut: tuple[int, ...]) -> None:
    array = np.ma.MaskedArray(pixels(3, 2), np.reshape(mask, (3, 2)))
    whole = row("r", red=array.data)
    parts = blocks({**whole, "mask": array.mask}, *cut)
    rows = [masked(part, red=np.ma.MaskedArray(part["red"], part.pop("mask"))) for part in parts]
    earlier = [shaped(f"e{n}", holes(pixels(1, 1), 0)) for n in range(before)]
    full = batch(ONE, *earlier, *rows)
    *_, chip = read_chips([full.slice(before)], ONE)
    np.testing.assert_array_equal(chip.masks["red"], array.mask)
    valid = ~array.mask
    np.testing.assert_array_equal(chip.pixels["red"][valid], array.data[valid])


def test_without_masks_there_are_none() -> None:
    schema = chips_schema([BandField("red", "uint16")])
    [chip] = read_chips([batch(schema, row("r", red=pixels(2, 2)))], schema)
    assert chip.masks == {}


@pytest.mark.parametrize("total", [None, 2 * 2 * 8])
def test_get_numpy(total: int | None) -> None:
    first, second = holes(pixels(2, 2), 1), holes(pixels(2, 2, 5), 0, 3)
    rows = [
        masked(row("a", red=first.data), red=first, nir=second),
        masked(row("b", red=first.data), red=second, nir=first),
    ]
    with collection(TWO, batch(TWO, *rows), total=total) as (toy, answers):
        array = toy.get_numpy(bands=["red", "nir"], masked=True)
    assert answers.requests[-1].grid.masked
    assert isinstance(array, np.ma.MaskedArray)
    np.testing.assert_array_equal(array.mask, [[first.mask, second.mask], [second.mask, first.mask]])
    ends = [*second.compressed(), *first.compressed()]
    np.testing.assert_array_equal(array.compressed(), [*first.compressed(), *second.compressed(), *ends])


def test_get_gdf() -> None:
    array = holes(pixels(2, 2), 2)
    with collection(ONE, batch(ONE, shaped("a", array))) as (toy, _):
        frame = toy.get_gdf((0, 0, 1, 1), bands="red", masked=True)
    assert isinstance(frame.data[0], np.ma.MaskedArray)
    np.testing.assert_array_equal(frame.data[0].mask, array.mask)
    assert frame.data[0].fill_value == 7


def read(schema, *rows: dict, bands=("red",), **keywords) -> xr.Dataset:
    with collection(schema, *[batch(schema, one) for one in rows]) as (toy, _):
        return toy.get_xarray(bands=list(bands), masked=True, **keywords)


@pytest.mark.parametrize("cubed", [True, False])
def test_get_xarray(cubed: bool) -> None:
    first, second = holes(pixels(2, 2), 1), holes(pixels(2, 2, 5))
    shift = {} if cubed else {"transform": at(1)}
    ds = read(ONE, shaped("a", first, datetime=day(1)), shaped("b", second, datetime=day(2), **shift))
    assert list(ds.data_vars) == ["red", "red_mask"]
    assert ds.red.dtype == np.uint16
    assert ds.red_mask.dtype == np.bool_
    np.testing.assert_array_equal(ds.red_mask[0, 0, :, :2], first.mask)
    np.testing.assert_array_equal(ds.red_mask[1, 0, :, -2:], second.mask)
    if not cubed:
        # what no record covers holds no pixel
        assert ds.red_mask[0, 0, :, 2].all()
        assert (ds.red[0, 0, :, 2] == 7).all()


@pytest.mark.parametrize(
    ("combine", "expected", "mask"),
    [
        ("combine_first", [1, 12, 3], [False, False, True]),
        ("merge_override", [1, None, None], [False, True, True]),
    ],
)
def test_masked_pixels_give_way(combine: str, expected: list, mask: list[bool]) -> None:
    first, second = holes(pixels(1, 3), 1, 2), holes(pixels(1, 3, 11), 2)
    ds = read(ONE, shaped("a", first), shaped("b", second), xr_combine=combine)
    np.testing.assert_array_equal(ds.red_mask[0, 0, 0], mask)
    valid = ~np.array(mask)
    np.testing.assert_array_equal(ds.red[0, 0, 0].values[valid], np.array(expected, object)[valid])


def test_nodata_is_no_hole_when_masks_say_otherwise() -> None:
    # 7 is nodata, but the mask of the file says that the pixel is valid
    ds = read(ONE, shaped("a", holes(pixels(1, 1, 7))), shaped("b", holes(pixels(1, 1, 9))))
    assert ds.red[0, 0, 0, 0] == 7


def test_merge_compares_valid_pixels_only() -> None:
    first, second = holes(pixels(1, 2), 1), holes(pixels(1, 2, 1), 0)
    ds = read(ONE, shaped("a", first), shaped("b", second), xr_combine="merge")
    assert not ds.red_mask.any()
    with pytest.raises(
        errors.MergeConflictError, match="a and b differ in red at row 0, column 0 of the result: 1 and 5"
    ):
        read(ONE, shaped("a", first), shaped("b", holes(pixels(1, 2, 5))), xr_combine="merge")


def test_nodata_may_vary_when_masks_tell() -> None:
    schema = chips_schema([BandField("red", "uint16", nodata_varies=True, masked=True)], metadata=CRS_METADATA)
    assert read(schema, shaped("a", holes(pixels(1, 2), 0))).red_mask.values.ravel().tolist() == [True, False]


def test_a_band_with_the_name_of_a_mask_is_refused() -> None:
    schema = chips_schema([RED, BandField("red_mask", "uint8", masked=True)], metadata=CRS_METADATA)
    with pytest.raises(errors.ColumnCollisionError, match="the mask of red would be called red_mask, as is a band"):
        read(schema, bands=["red", "red_mask"])


def test_records_have_no_masks() -> None:
    with (
        collection(ONE) as (toy, _),
        pytest.raises(errors.BadRequestError, match="leave bands, windows, target_crs, masked and values out"),
    ):
        toy.read(layout="records", masked=True)


def test_attributes_that_xarray_or_netcdf_cannot_take_are_left_out(tmp_path) -> None:
    field = BandField(
        "red",
        "uint8",
        unit="m",
        categories=((1, "open  water"), (2, "forest")),
        tags={"_FillValue": "9", "grid_mapping": "crs", "a/b": "c", "units": "feet", "wavelength": "665"},
        file_tags={"wavelength": "?", "AREA": "here"},
        masked=True,
    )
    schema = chips_schema([field], metadata=CRS_METADATA)
    one = holes(pixels(1, 2, dtype="uint8"), 1)
    ds = read(schema, shaped("a", one))
    values = ds.red.attrs.pop("flag_values")
    assert (values.tolist(), values.dtype) == ([1, 2], np.uint8)
    assert ds.red.attrs == {"wavelength": "665", "AREA": "here", "units": "m", "flag_meanings": "open_water forest"}
    ds.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "a.nc") as back:
        assert back.red_mask.dtype == np.bool_
        np.testing.assert_array_equal(back.red_mask, ds.red_mask)
