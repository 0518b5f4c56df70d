"""What a read's band columns are: one type for all records, and the facts that they share."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from rasterflight_protocol import BandField, ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.plan.cutouts import BandSource, RecordCut
from rasterflight_server.plan.request import Request

#: Of records with more different tags than this none are told: to compare them would take longer than to read them.
_MAX_TAGS: Final = 1000


def band_fields(request: Request, records: Sequence[RecordCut]) -> list[BandField]:
    """Describe the bands of a read.

    Raises
    ------
    RequestError
        BAD_REQUEST: a band has different types in different records.
    """
    examples: list[dict[str, str]] = [{} for _ in request.bands]
    # Profiles are kept once for all files that share them, so most sources look like one that was seen before.
    sources: list[dict[tuple[int, int], BandSource]] = [{} for _ in request.bands]
    texts: list[dict[tuple[str, int], None]] = [{} for _ in request.bands]
    for record in records:
        for cut in record.cuts:
            for band in cut.bands:
                seen = sources[band.column]
                if (id(band.asset.profile), band.sample) not in seen:
                    seen[id(band.asset.profile), band.sample] = band
                    examples[band.column].setdefault(band.dtype, record.record.id)
                texts[band.column][band.asset.tags, band.sample] = None
    for name, found in zip(request.bands, examples, strict=True):
        _check_types(name, found)
    return [
        _field(name, list(found.values()), _shared_tags(tags), request)
        for name, found, tags in zip(request.bands, sources, texts, strict=True)
    ]


def _check_types(name: str, examples: Mapping[str, str]) -> None:
    if len(examples) > 1:
        listed = " and ".join(f"{dtype} in {record!r}" for dtype, record in sorted(examples.items()))
        raise RequestError(
            ErrorCode.BAD_REQUEST,
            f"band {name!r} is {listed}",
            field="bands",
            hint="read the records of each type by themselves, with ids= or another filter",
        )


def _field(name: str, sources: Sequence[BandSource], tags: tuple[dict[str, str], ...], request: Request) -> BandField:
    if not sources:
        # Every record failed and is skipped: the column holds nothing but nulls.
        return BandField(name, "uint8", masked=request.masked)
    of_band, of_file = tags
    common = {
        "unit": _common(sources, lambda band: band.meta.unit),
        "description": _common(sources, lambda band: band.meta.description),
        "colorinterp": _common(sources, lambda band: band.meta.colorinterp),
        "tags": of_band,
        "file_tags": of_file,
        "masked": request.masked,
    }
    dtype = sources[0].dtype
    if request.scaled:
        return BandField(name, dtype, nodata="nan", **common)
    made = any(band.made for band in sources)
    return BandField(
        name,
        dtype,
        nodata=_common(sources, lambda band: band.nodata),
        nodata_varies=len({band.nodata for band in sources}) > 1,
        scale=_common(sources, lambda band: band.meta.scale),
        offset=_common(sources, lambda band: band.meta.offset),
        colormap=None if made else _common(sources, lambda band: None if band.sample else band.asset.profile.colormap),
        categories=None if made else _common(sources, lambda band: band.meta.categories),
        **common,
    )


def _common(sources: Iterable[BandSource], fact: Callable[[BandSource], Any]) -> Any:
    distinct = {fact(band) for band in sources}
    return distinct.pop() if len(distinct) == 1 else None


def _shared_tags(texts: Iterable[tuple[str, int]]) -> tuple[dict[str, str], dict[str, str]]:
    """Tags of the band and of the file that are the same in all files."""
    found = list(texts)
    if not found or len(found) > _MAX_TAGS:
        return {}, {}
    documents = [(json.loads(text) if text else {}, sample) for text, sample in found]
    of_band = [document.get("bands", {}).get(str(sample), {}) for document, sample in documents]
    return _intersection(of_band), _intersection([document.get("file", {}) for document, _ in documents])


def _intersection(documents: Sequence[Mapping[str, str]]) -> dict[str, str]:
    first, *others = documents
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}
