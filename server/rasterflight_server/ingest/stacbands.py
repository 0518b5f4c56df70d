"""What a STAC asset says about the bands of its file."""

from collections.abc import Mapping
from typing import Any, Final

from rasterflight_server.ingest.classes import read_classes
from rasterflight_server.ingest.jsonvalues import mapping, number, text
from rasterflight_server.ingest.sources import BandHint

#: STAC 1.1, then what it grew out of; what stands in an earlier one counts.
_LISTS: Final = ("bands", "eo:bands", "raster:bands")
#: In STAC 1.1 an asset says once what all of its bands have in common.
_COMMON: Final = ("nodata", "data_type", "unit", "raster:scale", "raster:offset", "classification:classes")
_SPECIAL: Final = frozenset(["nan", "inf", "-inf"])
_DTYPES: Final = {
    **{name: name for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")},
    **{name: name for name in ("float32", "float64")},
    "cfloat32": "complex64",
    "cfloat64": "complex128",
}


def read_bands(asset: Mapping[str, Any]) -> tuple[tuple[BandHint, ...], BandHint]:
    """Join ``bands`` (STAC 1.1), ``eo:bands`` and ``raster:bands`` (1.0) of an asset, and what it says of all its bands.

    Returns
    -------
    tuple
        What is said of each band that is listed, and of any other.
    """
    common = {name: asset[name] for name in _COMMON if name in asset}
    lists = [value for key in _LISTS if isinstance(value := asset.get(key), list)]
    hints = []
    for i in range(max(map(len, lists), default=0)):
        facts = dict(common)
        for entries in reversed(lists):
            facts |= mapping(entries[i]) if i < len(entries) else {}
        hints.append(_hint(facts))
    return tuple(hints), _hint(common)


def _hint(facts: Mapping[str, Any]) -> BandHint:
    plain = {name.removeprefix("raster:").removeprefix("eo:"): value for name, value in facts.items()}
    return BandHint(
        name=text(plain.get("name")),
        common_name=text(plain.get("common_name")),
        scale=number(plain.get("scale")),
        offset=number(plain.get("offset")),
        unit=text(plain.get("unit")),
        description=text(plain.get("description")),
        categories=read_classes(plain.get("classification:classes")),
        nodata=_nodata(plain.get("nodata")),
        dtype=_DTYPES.get(str(plain.get("data_type"))),
    )


def _nodata(value: Any) -> str | None:
    if isinstance(value, str):
        return value.lower() if value.lower() in _SPECIAL else None
    if isinstance(value, float) and value != value:  # noqa: PLR0124 - JSON as Python reads it may hold NaN
        return "nan"
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # whole numbers of 64 bits do not pass through a float
    found = number(value)
    return None if found is None else repr(found)
