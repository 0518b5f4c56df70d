"""Names of bands."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, count

from rasterflight_protocol.schemas import CHIPS_COLUMNS
from rasterflight_server.ingest.header import Header
from rasterflight_server.ingest.nodata import parse_nodata
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
    #: Other names that each of them answers to.
    aliases: tuple[tuple[str, ...], ...]

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
        names, aliases = [], []
        for name, others in zip(asset.names, asset.aliases, strict=True):
            keyed = f"{clean_text(asset.source.key)}_{name}"
            free = next(text for text in chain([name, keyed], (f"{keyed}_{n}" for n in count(2))) if text not in taken)
            taken.add(free)
            names.append(free)
            aliases.append(others if free == name else ())
        result.append(replace(asset, names=tuple(names), aliases=tuple(aliases)))
    return result


def merge_profile(profile: Profile, source: AssetSource) -> Profile:
    """Fill in from the catalog what the file itself does not say about its samples."""
    dtype = profile.levels[0].dtype
    hints = sample_hints(source, len(profile.bands))
    merged = replace(
        profile, bands=tuple(_merge(band, hint, dtype) for band, hint in zip(profile.bands, hints, strict=True))
    )
    nodatas = {hint.nodata for hint in hints}
    nodata = parse_nodata(nodatas.pop() or "", dtype).value if len(nodatas) == 1 else None
    if nodata is None or _tells_validity(profile):
        return merged
    # What the catalog says is no reason for tiles that are not stored to hold anything but what GDAL says.
    return replace(merged, nodata=nodata, fill=profile.fill or "0")


def _tells_validity(profile: Profile) -> bool:
    """Whether a file itself says which of its pixels count."""
    alpha = any(band.colorinterp == "alpha" for band in profile.bands)
    return profile.nodata is not None or profile.nodata_values is not None or bool(profile.masks) or alpha


def sample_hints(source: AssetSource, samples: int) -> list[BandHint]:
    """What the catalog says about each sample of a file."""
    return [*source.hints, *[source.rest] * samples][:samples]


def _merge(band: BandMeta, hint: BandHint, dtype: str) -> BandMeta:
    own = (band.scale, band.offset) != (None, None)
    scaled = band if own or (hint.counts and dtype[0] not in "iu") else hint
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
    hints = sample_hints(source, samples)
    if source.single is not None and samples == 1:
        return NamedAsset(source, header, *_single(source.single, hints[0]))
    said = [hint.name and clean_text(hint.name) for hint in hints]
    common = [hint.common_name and clean_text(hint.common_name) for hint in hints]
    names = _names(source, header, said)
    aliases = tuple(
        tuple(dict.fromkeys(text for text in others if text and text != name))
        for name, *others in zip(names, said, common, strict=True)
    )
    return NamedAsset(source, header, tuple(names), aliases)


@lru_cache(maxsize=4096)
def _single(key: str, hint: BandHint) -> tuple[tuple[str], tuple[tuple[str, ...]]]:
    """Name of a single band, and its other names."""
    name = clean_text(key)
    others = (clean_text(text) for text in (hint.name, hint.common_name) if text)
    return (name,), (tuple(dict.fromkeys(text for text in others if text != name)),)


def _names(source: AssetSource, header: Header, said: Sequence[str | None]) -> list[str]:
    descriptions = [band.description for band in header.profile.bands]
    if source.by_description and len(set(descriptions) - {None}) == len(descriptions):
        # What stands in a file was not written with the columns of a result in mind.
        said = [None if name in CHIPS_COLUMNS else name for name in descriptions]
    prefix = clean_text(source.unnamed)
    names: list[str] = []
    for number, name in enumerate(said, 1):
        names.append(name if name and name not in names else f"{prefix}{number}")
    return names
