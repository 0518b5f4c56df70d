"""What the records of an index share: slots, bands, CRS, profiles; each is kept once and referred to by number."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pyproj import CRS

from rasterflight_server.catalog.format import NONE
from rasterflight_server.catalog.manifest import BandEntry, Candidate, CrsEntry, Slot
from rasterflight_server.ingest.bands import NamedAsset, merge_profile
from rasterflight_server.types import BandMeta, Profile

Value = TypeVar("Value")


class Numbered(Generic[Value]):
    """Values that get a number when they are first seen."""

    def __init__(self) -> None:
        self._numbers: dict[Value, int] = {}

    def number(self, value: Value) -> int:
        """Number of a value."""
        return self._numbers.setdefault(value, len(self._numbers))

    @property
    def values(self) -> tuple[Value, ...]:
        """All values, by number."""
        return tuple(self._numbers)


@dataclass(slots=True)
class _Band:
    meta: BandMeta
    aliases: dict[str, None] = field(default_factory=dict)
    candidates: dict[Candidate, None] = field(default_factory=dict)
    dtypes: Counter[str] = field(default_factory=Counter)
    nodatas: Counter[str | None] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Numbers:
    """What one file has in common with others."""

    slot: int
    profile: int
    #: ``NONE``: no CRS.
    crs: int


class Registry:
    """Collects what files have in common, one file after the other."""

    def __init__(self) -> None:
        self._slots = Numbered[Slot]()
        self._profiles = Numbered[Profile]()
        self._crs = Numbered[str]()
        self._bands: dict[str, _Band] = {}

    def add(self, asset: NamedAsset, crs: str | None) -> Numbers:
        """Enter a file."""
        slot = self._slots.number(Slot(asset.source.key, asset.names))
        profile = merge_profile(asset.header.profile, asset.source)
        for sample, name in enumerate(asset.names):
            band = self._bands.setdefault(name, _Band(profile.bands[sample]))
            band.candidates[Candidate(slot, sample)] = None
            band.dtypes[profile.levels[0].dtype] += 1
            band.nodatas[profile.nodata] += 1
            band.aliases |= dict.fromkeys(asset.aliases[sample])
        return Numbers(slot, self._profiles.number(profile), NONE if crs is None else self._crs.number(crs))

    @property
    def slots(self) -> tuple[Slot, ...]:
        """Slots by number."""
        return self._slots.values

    @property
    def profiles(self) -> tuple[Profile, ...]:
        """Profiles by number."""
        return self._profiles.values

    @property
    def crs(self) -> tuple[CrsEntry, ...]:
        """CRS by number."""
        return tuple(_crs_entry(name) for name in self._crs.values)

    @property
    def bands(self) -> tuple[BandEntry, ...]:
        """Bands in the order in which they came."""
        return tuple(
            BandEntry(
                name=name,
                aliases=tuple(band.aliases),
                candidates=tuple(band.candidates),
                dtypes=tuple(dtype for dtype, _ in band.dtypes.most_common()),
                nodatas=tuple(nodata for nodata, _ in band.nodatas.most_common()),
                scale=band.meta.scale,
                offset=band.meta.offset,
                unit=band.meta.unit,
                description=band.meta.description,
                colorinterp=band.meta.colorinterp,
                categories=band.meta.categories,
            )
            for name, band in self._bands.items()
        )


def _crs_entry(name: str) -> CrsEntry:
    crs = CRS.from_user_input(name)
    return CrsEntry(name, crs.to_wkt(), crs.to_json_dict())
