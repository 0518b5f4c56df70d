"""Scale and offset of Sentinel-2, by what an item says of its processing."""

from typing import Any

import pytest

from rasterflight_server.ingest.sentinel2 import reflectance
from rasterflight_server.ingest.sources import BandHint

STATED = BandHint("B04", scale=0.0001, offset=-0.1)


def offset(properties: dict[str, Any], *hints: BandHint, key: str = "B04") -> tuple[float | None, float | None]:
    (found,) = reflectance(key, hints, properties) or (BandHint(),)
    return found.scale, found.offset


@pytest.mark.parametrize(
    ("properties", "stated", "filled"),
    [
        ({}, -0.1, (None, None)),
        ({"s2:processing_baseline": "05.11"}, -0.1, (0.0001, -0.1)),
        ({"s2:processing_baseline": "04.00"}, -0.1, (0.0001, -0.1)),
        ({"s2:processing_baseline": "0400"}, -0.1, (0.0001, -0.1)),
        ({"s2:processing_baseline": "03.01"}, 0.0, (0.0001, 0.0)),
        ({"sentinel:processing_baseline": "03.01"}, 0.0, (0.0001, 0.0)),
        ({"s2:processing_baseline": "99.99"}, -0.1, (None, None)),
        ({"s2:processing_baseline": 4}, -0.1, (None, None)),
        ({"earthsearch:boa_offset_applied": True}, 0.0, (0.0001, 0.0)),
        ({"s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": True}, 0.0, (0.0001, 0.0)),
        ({"s2:processing_baseline": "05.09", "sentinel:boa_offset_applied": True}, 0.0, (0.0001, 0.0)),
        ({"s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": False}, -0.1, (0.0001, -0.1)),
        ({"s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": "yes"}, -0.1, (0.0001, -0.1)),
    ],
)
def test_the_offset(properties: dict[str, Any], stated: float, filled: tuple[float | None, float | None]) -> None:
    assert offset(properties, STATED) == (0.0001, stated)
    assert offset(properties, BandHint("B04")) == filled
    assert offset(properties) == filled


@pytest.mark.parametrize(
    ("key", "hints"),
    [
        ("SCL", ()),
        ("AOT", (BandHint(dtype="uint16"),)),
        ("B04", (BandHint("B04", dtype="float32"),)),
        ("B13", ()),
        ("visual", (BandHint("red"),)),
    ],
)
def test_what_is_no_spectral_band_of_counts(key: str, hints: tuple[BandHint, ...]) -> None:
    assert offset({"s2:processing_baseline": "05.11"}, *hints, key=key) == (None, None)


def test_pictures_of_several_bands() -> None:
    hints = (BandHint("B04"), BandHint("B03"), BandHint("B02"))
    assert reflectance("visual", hints, {"s2:processing_baseline": "05.11"}) == hints


def test_bands_of_one_file() -> None:
    hints = (STATED, BandHint("SCL"))
    found = reflectance("all", hints, {"s2:processing_baseline": "02.14"})
    assert [hint.offset for hint in found] == [0.0, None]
