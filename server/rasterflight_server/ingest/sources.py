"""What is to be indexed, before any raster was looked at."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from affine import Affine
from shapely.geometry.base import BaseGeometry

from rasterflight_protocol import Categories
from rasterflight_server.ingest.header import Header


@dataclass(frozen=True, slots=True)
class BandHint:
    """What a catalog says about one sample of a file."""

    name: str | None = None
    scale: float | None = None
    offset: float | None = None
    unit: str | None = None
    description: str | None = None
    categories: Categories | None = None


@dataclass(frozen=True, slots=True)
class AssetSource:
    """One file of a record."""

    key: str
    href: str
    #: One per sample, as far as known.
    hints: tuple[BandHint, ...] = ()
    #: Name of a file's only band; None: as for files with several.
    single: str | None = None
    #: What samples without a name are called: ``unnamed`` + "1", "2" ...
    unnamed: str = "band_"
    #: Samples may be called what the file itself says, if it names them all.
    by_description: bool = False
    #: Georeference for files without.
    crs: str | None = None
    transform: Affine | None = None
    #: What is known already; the file is then not opened.
    header: Header | None = None


@dataclass(frozen=True, slots=True)
class RecordSource:
    """One record."""

    id: str
    assets: tuple[AssetSource, ...]
    #: UTC, naive.
    when: datetime | None = None
    #: Footprint in OGC:CRS84; None: the outline of the raster.
    geometry: BaseGeometry | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that is not in the index, and why."""

    record: str
    asset: str
    reason: str

    def __str__(self) -> str:
        about = "/".join(part for part in (self.record, self.asset) if part)
        return f"{about}: {self.reason}" if about else self.reason
