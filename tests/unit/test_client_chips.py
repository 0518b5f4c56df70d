import datetime as dt

import numpy as np
import pytest

from rasterflight import errors
from rasterflight._chips import read_chips
from rasterflight_protocol import BandField, chips_schema
from support.fake_server import UTM18, batch, blocks, collection, pixels, row

BOTH = chips_schema([BandField("red", "uint16", "0"), BandField("swir", "int16", "-1")])
SKIPPING = chips_schema([BandField("red", "uint16", "0")], with_error=True)


def chips_of(schema, *batches):
    return list(read_chips(batches, schema))


def test_a_chip_knows_what_it_is():
    (chip,) = chips_of(BOTH, batch(BOTH, row("a", geometry_id=3, red=pixels(2, 3))))
    assert (chip.record_id, chip.geometry_id, chip.crs, chip.collection) == ("a", 3, UTM18, "toy")
    assert (chip.height, chip.width, chip.cloud_cover) == (2, 3, 12.5)
    assert chip.datetime == dt.datetime(2024, 1, 1, 10, 30, tzinfo=dt.UTC)
    assert chip.transform == [10.0, 0.0, 500000.0, 0.0, -10.0, 4500000.0]
    assert list(chip.pixels) == ["red"]
    np.testing.assert_array_equal(chip.pixels["red"], pixels(2, 3))


def test_what_is_not_known_is_none():
    nothing = {"datetime": None, "cloud_cover": None, "geometry_id": None, "crs": None, "transform": None}
    (chip,) = chips_of(BOTH, batch(BOTH, row("a", red=pixels(1, 1), **nothing)))
    assert [getattr(chip, name) for name in nothing] == [None] * 5


def test_small_chips_are_views_of_their_batch():
    one = batch(BOTH, row("a", red=pixels(2, 2)), row("b", red=pixels(2, 2, 9)))
    base = one.column("red").values.to_numpy()
    assert all(np.shares_memory(chip.pixels["red"], base) for chip in chips_of(BOTH, one))


def test_rows_of_a_sliced_batch_are_found():
    one = batch(
        BOTH, row("a", red=pixels(2, 2)), row("b", red=pixels(1, 3, 9)), row("c", swir=pixels(1, 1).astype("i2"))
    )
    chips = chips_of(BOTH, one.slice(1))
    np.testing.assert_array_equal(chips[0].pixels["red"], pixels(1, 3, 9))
    assert [(chip.record_id, list(chip.pixels)) for chip in chips] == [("b", ["red"]), ("c", ["swir"])]


def test_a_chip_may_span_batches_and_share_them():
    large = blocks(row("b", red=pixels(5, 2), swir=pixels(5, 2).astype("i2")), 2, 2, 1)
    chips = chips_of(
        BOTH,
        batch(BOTH, row("a", red=pixels(2, 2)), large[0]),
        batch(BOTH, large[1]),
        batch(BOTH, large[2], row("c", red=pixels(1, 1))),
    )
    assert [chip.record_id for chip in chips] == ["a", "b", "c"]
    np.testing.assert_array_equal(chips[1].pixels["red"], pixels(5, 2))
    np.testing.assert_array_equal(chips[1].pixels["swir"], pixels(5, 2))
    assert chips[1].pixels["swir"].dtype == "int16"


def test_bands_of_other_grids_may_lie_between_the_blocks():
    ten = blocks(row("a", red=pixels(4, 4)), 2, 2)
    twenty = blocks(row("a", swir=pixels(2, 2).astype("i2")), 1, 1)
    chips = chips_of(BOTH, batch(BOTH, ten[0], twenty[0], ten[1], twenty[1]))
    assert [(list(chip.pixels), chip.height) for chip in chips] == [(["red"], 4), (["swir"], 2)]
    np.testing.assert_array_equal(chips[0].pixels["red"], pixels(4, 4))


def test_a_record_without_these_bands_has_no_chip():
    assert chips_of(BOTH, batch(BOTH, row("a"))) == []


def test_a_stream_that_ends_inside_a_chip_is_an_error():
    first, _ = blocks(row("b", red=pixels(4, 2)), 2, 2)
    with pytest.raises(errors.ProtocolError, match=r"^b: the stream ended inside a chip$"):
        chips_of(BOTH, batch(BOTH, first))


def test_a_failed_record_loses_all_its_chips():
    begun, _ = blocks(row("b", geometry_id=2, red=pixels(4, 2)), 2, 2)
    got = chips_of(
        SKIPPING,
        batch(SKIPPING, row("a", red=pixels(1, 1)), row("b", red=pixels(1, 1)), begun),
        batch(SKIPPING, row("b", geometry_id=2, error="cut off"), row("b", geometry_id=3, red=pixels(1, 1))),
        batch(SKIPPING, row("c", red=pixels(1, 1))),
    )
    assert [chip.record_id for chip in got] == ["a", "c"]


def test_chips_come_over_the_wire():
    with collection(BOTH, batch(BOTH, *blocks(row("a", red=pixels(4, 2)), 3, 1))) as (toy, _):
        (chip,) = toy.read(bands=["red", "swir"]).chips()
    np.testing.assert_array_equal(chip.pixels["red"], pixels(4, 2))
