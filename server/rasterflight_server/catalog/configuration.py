"""The configuration of a collection: ``collection.toml`` beside its manifest, written by people."""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

from rasterflight_protocol import Categories
from rasterflight_server.catalog.credentials import refuse_secrets
from rasterflight_server.catalog.toml_table import TomlTable, load_toml
from rasterflight_server.errors import ConfigError

CONFIGURATION: Final = "collection.toml"
ROLES: Final = ("licensor", "producer", "processor", "host")


@dataclass(frozen=True, slots=True)
class Provider:
    """Somebody who made, licensed, processed or hosts the data, as STAC has it."""

    #: Name of the organisation.
    name: str
    #: Of ``ROLES``.
    roles: tuple[str, ...] = ()
    #: Where to read about it.
    url: str | None = None


@dataclass(frozen=True, slots=True)
class BandConfig:
    """What is said of a band instead of what its files and items say; None: they are right."""

    #: Further names that it answers to.
    aliases: tuple[str, ...] = ()
    #: Values are names rather than amounts: resampled by nearest unless told otherwise.
    classes: bool | None = None
    #: Names of pixel values; a band that has them is one of classes.
    categories: Categories | None = None
    #: Pixels that hold it are invalid, whatever masks and alpha bands say; "none": no value is.
    nodata: float | Literal["none"] | None = None
    #: physical value = pixel * scale + offset
    scale: float | None = None
    #: See ``scale``.
    offset: float | None = None
    #: Unit of physical values.
    unit: str | None = None
    #: The band in a few words.
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that one request may ask for; None: as much as the server gives."""

    #: Pixels of the result, in all bands.
    pixels: int | None = None
    #: Records that match the filters and areas.
    records: int | None = None
    #: Areas or windows. Sets of points have bounds of their own.
    geometries: int | None = None
    #: Bytes of the result's pixels.
    bytes: int | None = None
    #: Pairs of record and area.
    chips: int | None = None


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Files whose href begins with one text are at another place."""

    #: Beginning of hrefs in the index.
    start: str
    #: What stands there instead.
    to: str


@dataclass(frozen=True, slots=True)
class Origin:
    """Where records of a well-known archive come from; in presets, and in what was made of them."""

    #: The archive in a sentence.
    about: str
    #: URL of the STAC API.
    api: str | None = None
    #: Collection of the API.
    collection: str | None = None
    #: Table of records, where there is no API.
    source: str | None = None
    #: Keys of the assets that are indexed; none: all rasters.
    assets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Configuration:
    """All that people say of a collection; applied when it is opened, so that its index need not be built again."""

    #: Title in a few words.
    title: str | None = None
    #: More than that.
    description: str | None = None
    #: SPDX identifier, or "other", as in STAC.
    license: str | None = None
    #: What to write where the data are shown.
    attribution: str | None = None
    #: Those behind the data.
    providers: tuple[Provider, ...] = ()
    #: By the name of the band.
    bands: Mapping[str, BandConfig] = field(default_factory=lambda: MappingProxyType({}))
    #: Options of the store by the beginning of the URL: region, endpoint, requester_pays ...
    storage: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))
    #: Tried in this order on each href; the first that fits is taken.
    rewrites: tuple[Rewrite, ...] = ()
    #: What one request may ask for.
    limits: Limits = Limits()
    #: Set where a preset was taken: bands that the collection lacks are passed over then.
    preset: Origin | None = None

    @classmethod
    def parse(cls, text: bytes, origin: str = CONFIGURATION) -> "Configuration":
        """Read the file.

        Parameters
        ----------
        text
            TOML, UTF-8.
        origin
            What errors call it.

        Raises
        ------
        ConfigError
            It is not TOML, has an unknown key, a value that cannot be, or a secret; names the key.
        """
        table = load_toml(text, origin)
        refuse_secrets(table.values, origin)
        found = cls(
            title=table.text("title"),
            description=table.text("description"),
            license=table.text("license"),
            attribution=table.text("attribution"),
            providers=tuple(map(_provider, table.rows("providers"))),
            bands=MappingProxyType({name: _band(band) for name, band in table.tables("bands")}),
            storage=MappingProxyType({prefix: _storage(prefix, part) for prefix, part in table.tables("storage")}),
            rewrites=tuple(map(_rewrite, table.rows("rewrite"))),
            limits=_limits(table.table("limits")),
            preset=_preset(table.table("preset")) if "preset" in table.values else None,
        )
        table.done()
        return found

    @classmethod
    def read(cls, directory: Path) -> "Configuration":
        """Read ``DIR/collection.toml``; without one all is as the index says.

        Raises
        ------
        ConfigError
            As ``parse``; or it cannot be read.
        """
        try:
            text = (directory / CONFIGURATION).read_bytes()
        except FileNotFoundError:
            return cls()
        except OSError as error:
            raise ConfigError(f"{CONFIGURATION} of {directory.name!r} cannot be read: {error.strerror}") from None
        return cls.parse(text, f"{CONFIGURATION} of {directory.name!r}")

    def digest(self, bands: Collection[str]) -> str:
        """Short id of what changes answers, that is what is said of these bands; "" where that is nothing."""
        said = {name: asdict(band) for name, band in self.bands.items() if name in bands and band != BandConfig()}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:8] if said else ""


def _provider(table: TomlTable) -> Provider:
    name = table.required("name", table.text("name"))
    provider = Provider(name, table.texts("roles", ROLES), table.text("url"))
    table.done()
    return provider


def _band(table: TomlTable) -> BandConfig:
    band = BandConfig(
        aliases=table.texts("aliases"),
        classes=table.flag("classes"),
        categories=_categories(table),
        nodata=_nodata(table),
        scale=table.number("scale"),
        offset=table.number("offset"),
        unit=table.text("unit"),
        description=table.text("description"),
    )
    table.done()
    if band.categories and band.classes is False:
        table.refuse("classes", "a band with categories is one of classes", "leave one of the two out")
    if band.scale == 0:
        table.refuse("scale", "0 makes all pixels the same", "leave it out if the pixels are not scaled")
    return band


def _categories(table: TomlTable) -> Categories | None:
    inner = table.table("categories")
    found: dict[int, str] = {}
    for key in inner.values:
        try:
            value = int(key)
        except ValueError:
            inner.refuse(key, "the key is not a pixel value", 'write 4 = "vegetation"')
        if value in found:
            inner.refuse(key, f"the pixel value {value} stands there twice", "name it once")
        found[value] = inner.required(key, inner.text(key))
    return tuple(sorted(found.items())) or None


def _nodata(table: TomlTable) -> float | Literal["none"] | None:
    value = table.any("nodata")
    if value is None or value == "none" or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value  # type: ignore[no-any-return]
    return table.refuse("nodata", f"{value!r} is not a number", 'write nodata = 0, nodata = nan or nodata = "none"')


def _storage(prefix: str, table: TomlTable) -> Mapping[str, Any]:
    if "://" not in prefix:
        raise ConfigError(
            f"{table.origin}: storage: {prefix!r} is not the beginning of a URL",
            field="storage",
            hint='write [storage."s3://bucket/"]',
        )
    return MappingProxyType(dict(table.values))


def _rewrite(table: TomlTable) -> Rewrite:
    rewrite = Rewrite(table.required("from", table.text("from")), table.required("to", table.text("to")))
    table.done()
    return rewrite


def _limits(table: TomlTable) -> Limits:
    limits = Limits(**{name: table.count(name) for name in Limits.__dataclass_fields__})
    table.done()
    return limits


def _preset(table: TomlTable) -> Origin:
    preset = Origin(
        about=table.required("about", table.text("about")),
        api=table.text("api"),
        collection=table.text("collection"),
        source=table.text("source"),
        assets=table.texts("assets"),
    )
    table.done()
    return preset
