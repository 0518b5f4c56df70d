"""What a configuration says of bands, laid over what the index says."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from rasterflight_server.catalog.configuration import CONFIGURATION, BandConfig, Configuration
from rasterflight_server.catalog.manifest import BandEntry, Manifest
from rasterflight_server.catalog.toml_table import nearest
from rasterflight_server.errors import ConfigError
from rasterflight_server.types import NO_NODATA, BandMeta, Profile

Described = TypeVar("Described", BandEntry, BandMeta)


def override_manifest(manifest: Manifest, configuration: Configuration) -> Manifest:
    """Describe the bands as the configuration has them.

    Raises
    ------
    ConfigError
        It names a band that the collection has not, gives a name twice, or a nodata value that no pixel can have.
    """
    own = {band.name: band for band in manifest.bands}
    said = {name: band for name, band in configuration.bands.items() if name in own or configuration.preset is None}
    for name in said:
        if name not in own:
            raise _unknown(name, manifest)
    taken = _aliases(said, own, manifest.name)
    bands = (_entry(band, said.get(band.name, BandConfig()), taken, manifest.name) for band in manifest.bands)
    return replace(manifest, bands=tuple(bands))


def override_profile(profile: Profile, bands: Iterable[BandConfig | None]) -> Profile:
    """Describe the samples of a file as the configuration has them; one entry per sample, None: nothing is said."""
    dtype = profile.levels[0].dtype
    metas = (
        meta if said is None else _meta(meta, said, dtype) for meta, said in zip(profile.bands, bands, strict=True)
    )
    return replace(profile, bands=tuple(metas))


def _entry(band: BandEntry, said: BandConfig, taken: Mapping[str, str], collection: str) -> BandEntry:
    # A name that was given to another band is no longer the index's to give.
    kept = [alias for alias in band.aliases if taken.get(alias, band.name) == band.name]
    found = replace(_described(band, said), aliases=tuple(dict.fromkeys([*kept, *said.aliases])))
    if said.nodata is None:
        return found
    for dtype in band.dtypes:
        if not _holds(dtype, said.nodata):
            message = f"{said.nodata!r} is no value of {dtype}"
            raise _refused(f"{band.name}.nodata", message, collection, 'give one that is, or nodata = "none"')
    spelled = dict.fromkeys(_spelled(said.nodata, dtype) for dtype in band.dtypes)
    return replace(found, nodatas=tuple(None if text == NO_NODATA else text for text in spelled))


def _meta(meta: BandMeta, said: BandConfig, dtype: str) -> BandMeta:
    nodata = None if said.nodata is None else _spelled(said.nodata, dtype)
    return replace(_described(meta, said), nodata=nodata, classes=said.classes)


def _described(band: Described, said: BandConfig) -> Described:
    names = ("scale", "offset", "unit", "description", "categories")
    facts: dict[str, Any] = {name: value for name in names if (value := getattr(said, name)) is not None}
    return replace(band, **facts)


def _holds(dtype: str, nodata: float | str) -> bool:
    """Whether a pixel may have the value."""
    if isinstance(nodata, str):
        return True
    kind = np.dtype(dtype)
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        return bool(np.isfinite(nodata) and int(nodata) == nodata and limits.min <= nodata <= limits.max)
    with np.errstate(over="ignore"):
        return bool(not np.isfinite(nodata) or np.isfinite(kind.type(nodata)))


def _spelled(nodata: float | str, dtype: str) -> str:
    """Nodata as GDAL_NODATA says it for a type of pixels."""
    if isinstance(nodata, str):
        return nodata
    kind = np.dtype(dtype)
    if kind.kind in "iu":
        return str(int(nodata))
    return repr(float(np.float32(nodata)) if kind in (np.float32, np.complex64) else float(nodata))


def _aliases(said: Mapping[str, BandConfig], own: Mapping[str, BandEntry], collection: str) -> dict[str, str]:
    """The band that each configured alias stands for."""
    found: dict[str, str] = {}
    for name, band in said.items():
        for alias in band.aliases:
            other = alias if alias in own else found.get(alias, name)
            if other != name:
                message = f"{alias!r} is a name of band {other!r} already"
                raise _refused(f"{name}.aliases", message, collection, "take another name")
            found[alias] = name
    return found


def _unknown(name: str, manifest: Manifest) -> ConfigError:
    alias = next((band.name for band in manifest.bands if name in band.aliases), None)
    hint = f"it is another name of {alias!r}: write [bands.{alias}]"
    if alias is None:
        hint = nearest(name, [band.name for band in manifest.bands])
    return _refused(name, f"the collection has no band {name!r}", manifest.name, hint)


def _refused(place: str, message: str, collection: str, hint: str) -> ConfigError:
    field = f"bands.{place}"
    return ConfigError(f"{CONFIGURATION}: {field}: {message}", field=field, collection=collection, hint=hint)
