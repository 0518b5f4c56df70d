"""Presets: configurations of well-known archives, ready to be put beside an index."""

from importlib.resources import files
from typing import Final

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
