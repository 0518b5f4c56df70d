import numpy as np
import pytest

from rasterflight import errors
from rasterflight_protocol import BandField, chips_schema
from support.fake_server import batch, blocks, collection, pixels, row

RED, NIR = BandField("red", "uint16", "0"), BandField("nir", "uint16", "0")
ONE, BOTH = chips_schema([RED]), chips_schema([NIR, RED])
SKIPPING = chips_schema([RED], with_error=True)
NAMES = ["nir", "red"]


def both(record, start=1, shape=(4, 3), **facts):
    return row(record, nir=pixels(*shape, start), red=pixels(*shape, start + 100), **facts)


@pytest.mark.parametrize("total", [None, 3 * 4 * 3 * 2, 1, 10**6])
def test_one_band_is_n_h_w(total):
    sent = [pixels(4, 3, start) for start in (1, 50, 99)]
    stream = [batch(ONE, *[row(name, red=one) for name, one in zip("ab", sent, strict=False)])]
    stream.append(batch(ONE, *blocks(row("c", red=sent[2]), 2, 1, 1)))
    with collection(ONE, *stream, total=total) as (toy, _):
        array = toy.get_numpy(bands=["red"])
    assert (array.shape, array.dtype) == ((3, 4, 3), np.uint16)
    np.testing.assert_array_equal(array, np.stack(sent))
    assert array.flags.writeable


@pytest.mark.parametrize("total", [None, 2 * 2 * 4 * 3 * 2])
def test_several_bands_are_n_c_h_w_in_the_order_asked_for(total):
    rows = [both("a"), both("a", 20, geometry_id=2)]
    with collection(BOTH, batch(BOTH, *rows), total=total) as (toy, _):
        array = toy.get_numpy(bands=NAMES)
    np.testing.assert_array_equal(array, [[one["nir"], one["red"]] for one in rows])
    assert array.flags.c_contiguous


def test_one_large_chip_is_written_straight_into_the_result():
    whole = both("a", shape=(1000, 20))
    cut = blocks(whole, *[100] * 10)
    with collection(BOTH, *[batch(BOTH, one) for one in cut], total=1000 * 20 * 4) as (toy, _):
        array = toy.get_numpy(bands=NAMES)
    np.testing.assert_array_equal(array[0], [whole["nir"], whole["red"]])
    assert array.base.nbytes == array.nbytes


def test_bands_that_come_in_rows_of_their_own_meet_again():
    rows = [row("a", nir=pixels(2, 2)), row("a", red=pixels(2, 2, 9)), both("b", shape=(2, 2))]
    with collection(BOTH, batch(BOTH, *rows)) as (toy, _):
        array = toy.get_numpy(bands=NAMES)
    np.testing.assert_array_equal(array[0], [pixels(2, 2), pixels(2, 2, 9)])


def test_ragged_windows_are_named_and_end_the_read():
    rest = [batch(ONE, row("z", red=np.zeros((500, 1000), "uint16")))] * 40
    with collection(ONE, batch(ONE, row("a", red=pixels(4, 3)), row("b", geometry_id=2, red=pixels(3, 3))), *rest) as (
        toy,
        answers,
    ):
        with pytest.raises(errors.RaggedShapesError) as caught:
            toy.get_numpy(bands=["red"])
        assert answers.ended.wait(10)
    assert isinstance(caught.value, ValueError)
    assert str(caught.value) == (
        "the windows differ in shape: (4, 3) (record a, geometry 1, red) and (3, 3) (record b, geometry 2, red) "
        "(get_gdf returns arrays of any shape)"
    )


def test_bands_of_different_resolution_are_ragged():
    rows = [row("a", nir=pixels(4, 4)), row("a", red=pixels(2, 2))]
    with (
        collection(BOTH, batch(BOTH, *rows)) as (toy, _),
        pytest.raises(
            errors.RaggedShapesError, match=r"\(4, 4\) \(record a, .* nir\) and \(2, 2\) \(record a, .* red\)"
        ),
    ):
        toy.get_numpy(bands=NAMES)


def test_mixed_dtypes_are_not_promoted():
    schema = chips_schema([RED, BandField("temp", "float32")])
    with (
        collection(schema) as (toy, _),
        pytest.raises(errors.MixedDtypesError, match=r"red is uint16, temp is float32 .*get_gdf or get_xarray"),
    ):
        toy.get_numpy(bands=["red", "temp"])


def test_a_sample_without_a_band_is_an_error():
    with (
        collection(BOTH, batch(BOTH, both("a"), row("b", nir=pixels(4, 3)))) as (toy, _),
        pytest.raises(ValueError, match=r"^b: no pixels of red .*get_gdf"),
    ):
        toy.get_numpy(bands=NAMES)


def test_skipped_records_leave_no_hole():
    rows = [row("a", red=pixels(1, 2)), row("b", red=pixels(1, 2, 9)), row("b", geometry_id=2, error="cut off")]
    stream = batch(SKIPPING, *rows, row("c", red=pixels(1, 2, 5)))
    with collection(SKIPPING, stream, total=16) as (toy, _), pytest.warns(RuntimeWarning, match="result: b: cut off"):
        array = toy.get_numpy(bands=["red"], on_error="skip")
    np.testing.assert_array_equal(array, [pixels(1, 2), pixels(1, 2, 5)])


def test_when_all_is_skipped_there_is_no_data():
    with (
        collection(SKIPPING, batch(SKIPPING, row("a", error="cut off"))) as (toy, _),
        pytest.warns(RuntimeWarning, match="a: cut off"),
        pytest.raises(errors.NoDataFound, match="no record could be read: a: cut off"),
    ):
        toy.get_numpy(bands=["red"], on_error="skip")


def test_whole_records_need_no_geometry():
    rows = [row(name, geometry_id=None, geometry=None, red=pixels(2, 2)) for name in "ab"]
    with collection(ONE, batch(ONE, *rows)) as (toy, _):
        assert toy.get_numpy(bands="red").shape == (2, 2, 2)
