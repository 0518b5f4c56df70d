"""The tags that GDAL added to TIFF: nodata, scale, offset, unit, description."""

import html
import math
import re
from typing import Final

import numpy as np

from rasterflight_server.types import BandMeta

# Bounded, so that no text makes the search slow.
_ITEM: Final = re.compile(r"<Item\b([^<>]{0,1000})>([^<]*)</Item>")
_ATTRIBUTE: Final = re.compile(r'(\w+)="([^"]*)"')
_SAMPLE: Final = re.compile(r"[0-9]{1,5}")
_ROLES: Final = {"scale": "scale", "offset": "offset", "unittype": "unit", "description": "description"}


def parse_nodata(text: str, dtype: str) -> str | None:
    """Spell GDAL_NODATA so that ``numpy.dtype(dtype).type(...)`` can parse it.

    Parameters
    ----------
    text
        The tag: ``"0"``, ``"-9999.0"``, ``"nan"``, ``"-1.#QNAN"`` ...
    dtype
        NumPy name of the pixel type.

    Returns
    -------
    str or None
        None for an empty tag, and for a value that no pixel of this type can have: the file then has no nodata.
    """
    text = text.strip().lower()
    if "nan" in text:
        text = "nan"
    try:
        value = float(text)
    except ValueError:
        return None
    if np.dtype(dtype).kind == "f":
        with np.errstate(over="ignore"):
            held = float(np.dtype(dtype).type(value))
        return repr(held) if math.isfinite(held) or not math.isfinite(value) else None
    if not value.is_integer():  # also NaN and infinities
        return None
    # Not by way of float where that can be avoided: 64-bit integers have more digits.
    number = int(text) if re.fullmatch(r"[+-]?\d+", text) else int(value)
    limits = np.iinfo(dtype)
    return str(number) if limits.min <= number <= limits.max else None


def parse_metadata(xml: str, samples: int) -> tuple[BandMeta, ...]:
    """Read what GDAL_METADATA says about each sample.

    The XML is flat, so it is searched rather than parsed: nothing in it can make a parser expand or follow anything.
    """
    found: list[dict[str, str]] = [{} for _ in range(samples)]
    for attributes, text in _ITEM.findall(xml):
        facts = dict(_ATTRIBUTE.findall(attributes))
        name, sample = _ROLES.get(facts.get("role", "")), facts.get("sample", "")
        if name and _SAMPLE.fullmatch(sample) and int(sample) < samples:
            found[int(sample)][name] = html.unescape(text).strip()
    return tuple(
        BandMeta(
            scale=_finite(item.get("scale")),
            offset=_finite(item.get("offset")),
            unit=item.get("unit") or None,
            description=item.get("description") or None,
        )
        for item in found
    )


def _finite(text: str | None) -> float | None:
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
