"""Presets: configurations of well-known archives, ready to be put beside an index."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

from rasterflight_protocol import ErrorCode
from rasterflight_server.catalog.configuration import Configuration
from rasterflight_server.catalog.toml_table import nearest
from rasterflight_server.errors import RequestError

_FOLDER: Final = "presets"
_SUFFIX: Final = ".toml"


def preset_names() -> list[str]:
    """Names of all presets, in order."""
    entries = files("rasterflight_server").joinpath(_FOLDER).iterdir()
    return sorted(entry.name.removesuffix(_SUFFIX) for entry in entries if entry.name.endswith(_SUFFIX))


def preset_text(name: str) -> bytes:
    """The file of a preset, as it is copied beside an index.

    Raises
    ------
    RequestError
        BAD_REQUEST: there is none of this name; names the nearest.
    """
    names = preset_names()
    if name not in names:
        raise RequestError(
            ErrorCode.BAD_REQUEST, f"there is no preset {name[:100]!r}", field="preset", hint=nearest(name, names)
        )
    return files("rasterflight_server").joinpath(_FOLDER, name + _SUFFIX).read_bytes()


def read_preset(name: str) -> Configuration:
    """A preset, parsed; raises as ``preset_text``."""
    return Configuration.parse(preset_text(name), name + _SUFFIX)


def archive_source(name: str, search: Mapping[str, Any] | None) -> tuple[str, dict[str, Any] | None, tuple[str, ...]]:
    """Where the records of an archive come from, where no other source is named.

    Parameters
    ----------
    name
        Of the preset.
    search
        What to search for.

    Returns
    -------
    source, search, assets
        As ``build_index`` takes them.

    Raises
    ------
    RequestError
        BAD_REQUEST: there is no such preset; the archive is searched, and it was not said what for.
    """
    preset = read_preset(name).preset
    assert preset is not None
    if preset.api is None:
        return preset.source or "", None if search is None else dict(search), preset.assets
    if search is None:
        raise RequestError(
            ErrorCode.BAD_REQUEST,
            f"the archive of preset {name!r} is not indexed as a whole",
            field="search",
            hint="say which part: --search bbox=7,46,8,47 datetime=2024-06/2024-08, or name a SOURCE",
        )
    return preset.api, {"collections": [preset.collection], **search}, preset.assets
