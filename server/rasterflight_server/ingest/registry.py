"""What the records of an index share: slots, bands, CRS, profiles; each is kept once and referred to by number."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from pyproj import CRS

from rasterflight_server.catalog.format import NONE
from rasterflight_server.catalog.manifest import BandEntry, Candidate, CrsEntry, Manifest, Slot
from rasterflight_server.ingest.bands import NamedAsset, merge_profile
from rasterflight_server.ingest.sources import AssetSource, BandHint
from rasterflight_server.types import Profile

Value = TypeVar("Value")
Numbering = npt.NDArray[np.int32]


class Numbered(Generic[Value]):
    """Values that get a number when they are first seen."""

    def __init__(self, values: Iterable[Value] = ()) -> None:
        self._numbers: dict[Value, int] = {}
        for value in values:
            self.number(value)

    def number(self, value: Value) -> int:
        """Number of a value."""
        return self._numbers.setdefault(value, len(self._numbers))

    @property
    def values(self) -> tuple[Value, ...]:
        """All values, by number."""
        return tuple(self._numbers)


class NumberedProfiles(Numbered[Profile]):
    """Profiles that get a number when they are first seen; those of headers are mostly a few objects, again and again."""

    _MAX: Final = 4096

    def __init__(self, values: Iterable[Profile] = ()) -> None:
        #: By identity, with the object itself, so that no other can have it: of a profile, hashing takes long.
        self._met: dict[int, tuple[Profile, int]] = {}
        super().__init__(values)

    def number(self, value: Profile) -> int:
        """Number of a profile."""
        met = self._met.get(id(value))
        if met is None:
            if len(self._met) >= self._MAX:
                self._met.clear()
            met = self._met[id(value)] = value, super().number(value)
        return met[1]


class Numbers(NamedTuple):
    """What one file has in common with others."""

    slot: int
    profile: int
    #: ``NONE``: no CRS.
    crs: int


@dataclass(frozen=True, slots=True)
class Shared:
    """What the files of an index share, without what none of them needs any more."""

    slots: tuple[Slot, ...]
    profiles: tuple[Profile, ...]
    crs: tuple[CrsEntry, ...]
    bands: tuple[BandEntry, ...]
    #: Numbers in the registry of the slots that are left.
    used_slots: Numbering
    #: Number in the registry -> number in the index; ``NONE`` stays what it is.
    profile_numbers: Numbering
    crs_numbers: Numbering


class Registry:
    """Collects what files have in common, one file after the other.

    Parameters
    ----------
    manifest, profiles
        Those of an index that is updated: what is in it keeps its numbers.
    """

    def __init__(self, manifest: Manifest | None = None, profiles: Sequence[Profile] = ()) -> None:
        self._slots = Numbered[Slot](manifest.slots if manifest else ())
        self._profiles = Numbered[Profile](profiles)
        self._crs = Numbered[str](crs.name for crs in (manifest.crs if manifest else ()))
        self._aliases = {band.name: dict.fromkeys(band.aliases) for band in (manifest.bands if manifest else ())}
        #: Profiles as their files say them.
        self._plain = NumberedProfiles()
        self._merged: dict[tuple[int, tuple[BandHint, ...], BandHint], int] = {}
        #: Slot -> profile of the first file in it.
        self._first: dict[int, int] = {}

    def add(self, asset: NamedAsset, crs: str | None) -> Numbers:
        """Enter a file."""
        slot = self._slots.number(Slot(asset.source.key, asset.names))
        profile = self._profile(asset.header.profile, asset.source)
        self._first.setdefault(slot, profile)
        for name, others in zip(asset.names, asset.aliases, strict=True):
            if others:
                self._aliases.setdefault(name, {}).update(dict.fromkeys(others))
        return Numbers(slot, profile, NONE if crs is None else self._crs.number(crs))

    def _profile(self, profile: Profile, source: AssetSource) -> int:
        said = self._plain.number(profile), source.hints, source.rest
        number = self._merged.get(said)
        if number is None:
            number = self._merged[said] = self._profiles.number(merge_profile(profile, source))
        return number

    @property
    def slots(self) -> int:
        """Number of slots."""
        return len(self._slots.values)

    @property
    def crs_names(self) -> tuple[str, ...]:
        """Names of CRS, by number."""
        return self._crs.values

    def tile_rows(self) -> npt.NDArray[np.int64]:
        """Rows in ``tiles.arrow`` that a file of each profile has."""
        profiles = self._profiles.values
        return np.array([len(profile.levels) + len(profile.masks) for profile in profiles], np.int64)

    def shared(self, slot: Numbering, profile: Numbering, crs: Numbering) -> Shared:
        """What is shared by some files, by the numbers of these files; arrays of one length."""
        slots, profiles, names = self._slots.values, self._profiles.values, self._crs.values
        pairs, counts = np.unique(np.stack([slot, profile]), axis=1, return_counts=True)
        used_slots, used_profiles = np.unique(pairs[0]), np.unique(pairs[1])
        used_crs = np.unique(crs[crs != NONE])
        files: dict[int, dict[int, int]] = {}
        for (one, other), count in zip(pairs.T.tolist(), counts.tolist(), strict=True):
            files.setdefault(one, {})[other] = count
        return Shared(
            slots=tuple(slots[i] for i in used_slots),
            profiles=tuple(profiles[i] for i in used_profiles),
            crs=tuple(_crs_entry(names[i]) for i in used_crs),
            bands=tuple(self._bands(files)),
            used_slots=used_slots,
            profile_numbers=_renumbering(used_profiles, len(profiles)),
            crs_numbers=_renumbering(used_crs, len(names)),
        )

    def _bands(self, files: dict[int, dict[int, int]]) -> Iterable[BandEntry]:
        """Bands in the order in which they came; ``files``: slot -> profile -> number of files."""
        slots, profiles = self._slots.values, self._profiles.values
        places: dict[str, list[Candidate]] = {}
        for slot in files:
            for sample, name in enumerate(slots[slot].bands):
                places.setdefault(name, []).append(Candidate(slot, sample))
        renumbered = {slot: number for number, slot in enumerate(files)}
        for name, candidates in places.items():
            dtypes, nodatas = Counter[str](), Counter[str | None]()
            for candidate in candidates:
                for profile, count in files[candidate.slot].items():
                    dtypes[profiles[profile].levels[0].dtype] += count
                    nodatas[profiles[profile].nodata] += count
            slot, sample = candidates[0].slot, candidates[0].sample
            first = self._first.get(slot)
            meta = profiles[first if first in files[slot] else min(files[slot])].bands[sample]
            yield BandEntry(
                name=name,
                aliases=tuple(self._aliases.get(name, ())),
                candidates=tuple(Candidate(renumbered[place.slot], place.sample) for place in candidates),
                dtypes=tuple(dtype for dtype, _ in dtypes.most_common()),
                nodatas=tuple(nodata for nodata, _ in nodatas.most_common()),
                scale=meta.scale,
                offset=meta.offset,
                unit=meta.unit,
                description=meta.description,
                colorinterp=meta.colorinterp,
                categories=meta.categories,
            )


def _renumbering(used: npt.NDArray[np.integer], count: int) -> Numbering:
    numbers = np.full(count + 1, NONE, np.int32)  # the last place is met by NONE
    numbers[used] = np.arange(len(used))
    return numbers


def _crs_entry(name: str) -> CrsEntry:
    crs = CRS.from_user_input(name)
    return CrsEntry(name, crs.to_wkt(), crs.to_json_dict())
