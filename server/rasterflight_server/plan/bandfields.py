"""What a read's band columns are: one type for all records, and the facts that they share."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from rasterflight_protocol import BandField, ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.plan.cutouts import BandSource, RecordCut

_T = TypeVar("_T")


def band_fields(names: Sequence[str], records: Sequence[RecordCut]) -> list[BandField]:
    """Describe the bands of a read.

    Raises
    ------
    RequestError
        BAD_REQUEST: a band has different types in different records.
    """
    sources: list[dict[str, tuple[str, BandSource]]] = [{} for _ in names]
    facts: list[set[tuple[object, ...]]] = [set() for _ in names]
    for record in records:
        for cut in record.cuts:
            for band in cut.bands:
                sources[band.column].setdefault(band.level.dtype, (record.record.id, band))
                meta = band.asset.profile.bands[band.sample]
                facts[band.column].add(
                    (band.asset.profile.nodata, meta.scale, meta.offset, meta.unit, meta.description)
                )
    return [_field(name, found, fact) for name, found, fact in zip(names, sources, facts, strict=True)]


def _field(name: str, sources: dict[str, tuple[str, BandSource]], facts: set[tuple[object, ...]]) -> BandField:
    if not sources:
        # Every record failed and is skipped: the column holds nothing but nulls.
        return BandField(name, "uint8")
    if len(sources) > 1:
        examples = " and ".join(f"{dtype} in {record!r}" for dtype, (record, _) in sorted(sources.items()))
        raise RequestError(
            ErrorCode.BAD_REQUEST,
            f"band {name!r} is {examples}",
            field="bands",
            hint="read the records of each type by themselves, with ids= or another filter",
        )
    nodata, scales, offsets, units, descriptions = zip(*facts, strict=True)
    return BandField(
        name=name,
        dtype=next(iter(sources)),
        nodata=_common(nodata),
        nodata_varies=len(set(nodata)) > 1,
        scale=_common(scales),
        offset=_common(offsets),
        unit=_common(units),
        description=_common(descriptions),
    )


def _common(values: Iterable[_T]) -> _T | None:
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else None
