"""Reflectance of Sentinel-2: from counts to values, across the change of processing baseline 04.00.

Since baseline 04.00 (25 January 2022) ESA adds 1000 to the counts, so that small negative reflectances can be told:
reflectance = (DN + BOA_ADD_OFFSET) / QUANTIFICATION_VALUE with -1000 and 10000 for all bands of L2A, and RADIO_ADD_OFFSET alike for
L1C; before, it was DN / 10000 (https://sentiwiki.copernicus.eu/web/s2-processing). Items that state scale and offset are taken at
their word, but for two cases in which what they state cannot be:

- ``earthsearch:boa_offset_applied`` is true: the archive took the 1000 off again when it wrote the file, and the property counts, not
  the offset of -0.1 that ``raster:bands`` may still have (https://github.com/Element84/earth-search/issues/9);
- the baseline is older than 04.00: there is no offset.

Where an item states nothing, as those of the Planetary Computer, ESA's formula holds.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from rasterflight_server.ingest.sources import BandHint

_BASELINES: Final = ("s2:processing_baseline", "sentinel:processing_baseline")
_APPLIED: Final = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")
_BASELINE: Final = re.compile(r"(\d\d)\.?(\d\d)")
_SHIFTED_SINCE: Final = 400
#: Stands for processing outside of ESA's baselines.
_UNKNOWN: Final = 9999
_BAND: Final = re.compile(r"B(0[1-9]|1[0-2]|8A)")
_SCALE: Final = 1 / 10_000
_OFFSET: Final = -1000


def reflectance(key: str, hints: tuple[BandHint, ...], properties: Mapping[str, Any]) -> tuple[BandHint, ...]:
    """Complete, or put right, scale and offset of a file's bands.

    Parameters
    ----------
    key
        Key of the asset.
    hints
        What the asset states.
    properties
        Those of the item; of anything but Sentinel-2, the hints come back as they are.
    """
    baseline, applied = _baseline(properties), any(properties.get(name) is True for name in _APPLIED)
    if baseline is None and not applied:
        return hints
    shifted = not applied and baseline is not None and baseline >= _SHIFTED_SINCE
    if len(hints) <= 1:
        hint = hints[0] if hints else BandHint()
        if hint.scale is None and hint.offset is None and _is_spectral(key, hint):
            return (replace(hint, scale=_SCALE, offset=_OFFSET * _SCALE if shifted else 0.0, counts=True),)
    return hints if shifted else tuple(replace(hint, offset=0.0) if hint.offset else hint for hint in hints)


def _baseline(properties: Mapping[str, Any]) -> int | None:
    texts = (properties.get(name) for name in _BASELINES)
    match = next((found for text in texts if isinstance(text, str) and (found := _BASELINE.fullmatch(text))), None)
    number = int(match[1] + match[2]) if match else None
    return None if number == _UNKNOWN else number


def _is_spectral(key: str, hint: BandHint) -> bool:
    whole = hint.dtype is None or hint.dtype[0] in "iu"
    return whole and _BAND.fullmatch(hint.name or key) is not None
