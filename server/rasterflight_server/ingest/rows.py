"""Rows of a table as records: a value of each kind for every row, or why there is none."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shapely.geometry.base import BaseGeometry

from rasterflight_server.ingest.sources import AssetSource, Failure, Notice, RecordSource


@dataclass(frozen=True, slots=True)
class Flaw:
    """Stands for a value that cannot be used; says why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Footprints:
    """A column of footprints."""

    shapes: Sequence[BaseGeometry | Flaw | None]
    #: Row -> what is odd about its geometry, in words.
    odd: Mapping[int, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rows:
    """A batch as values, one of each for every record."""

    ids: Sequence[str | None]
    assets: Sequence[tuple[AssetSource, ...] | Flaw]
    whens: Sequence[datetime | Flaw | None]
    footprints: Footprints
    properties: Sequence[Mapping[str, Any]]

    def records(self, first: int) -> Iterator[RecordSource | Failure]:
        """Records, or why there is none; the row that comes first has this number in its table."""
        rows = zip(self.ids, self.assets, self.whens, self.footprints.shapes, self.properties, strict=True)
        for row, (record, assets, when, footprint, properties) in enumerate(rows):
            if not record:
                yield Failure(f"row {first + row}", "", "it has no id")
            elif isinstance(assets, Flaw):
                yield Failure(record, "", assets.reason)
            elif isinstance(when, Flaw):
                yield Failure(record, "", when.reason)
            elif isinstance(footprint, Flaw):
                yield Failure(record, "", footprint.reason)
            elif not assets:
                yield Failure(record, "", "it has no href")
            else:
                odd = self.footprints.odd.get(row, ())
                notices = tuple(Notice(record, "", reason) for reason in odd)
                yield RecordSource(record, assets, when, footprint, properties, notices)
