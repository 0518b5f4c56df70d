"""Names of bands."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, count

from rasterflight_protocol.schemas import CHIPS_COLUMNS
from rasterflight_server.ingest.header import Header
from rasterflight_server.ingest.properties import clean_text
from rasterflight_server.ingest.sources import AssetSource, BandHint
from rasterflight_server.types import BandMeta, Profile


@dataclass(frozen=True, slots=True)
class NamedAsset:
    """A file that was read, with names for its samples."""

    source: AssetSource
    header: Header
    #: One per sample.
    names: tuple[str, ...]
    #: The only band answers to this as well.
    alias: str | None

    @property
    def reserved(self) -> str | None:
        """A name that a column of every result has already."""
        return next((name for name in self.names if name in CHIPS_COLUMNS), None)


def name_bands(files: Sequence[tuple[AssetSource, Header]]) -> list[NamedAsset]:
    """Name the bands of one record's files so that each name stands for one band.

    Files with one band come first; where a file with several uses a name that is gone (a true-colour image beside the bands that it
    was made of), its key is put before the name.
    """
    named = [_named(source, header) for source, header in files]
    taken = {asset.names[0] for asset in named if len(asset.names) == 1}
    result = []
    for asset in named:
        if len(asset.names) == 1:
            result.append(asset)
            continue
        names = []
        for name in asset.names:
            keyed = f"{clean_text(asset.source.key)}_{name}"
            free = next(text for text in chain([name, keyed], (f"{keyed}_{n}" for n in count(2))) if text not in taken)
            taken.add(free)
            names.append(free)
        result.append(replace(asset, names=tuple(names)))
    return result


def merge_profile(profile: Profile, hints: Sequence[BandHint]) -> Profile:
    """Fill in from the catalog what the file itself does not say about its samples."""
    padded = [*hints, *[BandHint()] * len(profile.bands)]
    return replace(profile, bands=tuple(map(_merge, profile.bands, padded)))


def _merge(band: BandMeta, hint: BandHint) -> BandMeta:
    scaled = band if (band.scale, band.offset) != (None, None) else hint
    return replace(
        band,
        scale=scaled.scale,
        offset=scaled.offset,
        unit=band.unit or hint.unit,
        description=band.description or hint.description,
        categories=hint.categories,
    )


def _named(source: AssetSource, header: Header) -> NamedAsset:
    samples = len(header.profile.bands)
    hints = [hint.name and clean_text(hint.name) for hint in source.hints[:samples]]
    if samples == 1 and source.single is not None:
        name = clean_text(source.single)
        alias = hints[0] if hints and hints[0] != name else None
        return NamedAsset(source, header, (name,), alias)
    descriptions = [band.description for band in header.profile.bands]
    if source.by_description and len(set(descriptions) - {None}) == samples:
        # What stands in a file was not written with the columns of a result in mind.
        hints = [None if name in CHIPS_COLUMNS else name for name in descriptions]
    hints += [None] * (samples - len(hints))
    prefix = clean_text(source.unnamed)
    names: list[str] = []
    for number, hint in enumerate(hints, 1):
        names.append(hint if hint and hint not in names else f"{prefix}{number}")
    return NamedAsset(source, header, tuple(names), None)
