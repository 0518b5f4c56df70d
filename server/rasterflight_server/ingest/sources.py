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
    #: Name of the part of the spectrum: "red", "nir08".
    common_name: str | None = None
    scale: float | None = None
    offset: float | None = None
    #: Scale and offset are those of a sensor's counts: they hold for files of whole numbers only.
    counts: bool = False
    unit: str | None = None
    description: str | None = None
    categories: Categories | None = None
    #: As a number or "nan", "inf", "-inf".
    nodata: str | None = None
    #: NumPy name of the pixel type.
    dtype: str | None = None


@dataclass(frozen=True, slots=True)
class AssetSource:
    """One file of a record."""

    key: str
    href: str
    #: One per sample, as far as known.
    hints: tuple[BandHint, ...] = ()
    #: What is known of all further samples.
    rest: BandHint = BandHint()
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
    #: Rows and columns.
    shape: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that is in the index, but not as its source says."""

    record: str
    asset: str
    reason: str

    def __str__(self) -> str:
        return _line(self.record, self.asset, self.reason)


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
    #: What the source itself saw to be odd.
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that is not in the index, and why."""

    record: str
    asset: str
    reason: str
    #: Records may be behind it of which nothing is known: part of the source was not to be had.
    partial: bool = False

    def __str__(self) -> str:
        return _line(self.record, self.asset, self.reason)


def _line(record: str, asset: str, reason: str) -> str:
    about = "/".join(part for part in (record, asset) if part)
    return f"{about}: {reason}" if about else reason
