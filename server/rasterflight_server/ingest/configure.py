"""The configuration of an index in the making: which one it is, and how it comes to its place."""

import os
from pathlib import Path

from rasterflight_protocol import ErrorCode
from rasterflight_server.catalog import Manifest
from rasterflight_server.catalog.configuration import CONFIGURATION, Configuration
from rasterflight_server.catalog.overrides import override_manifest
from rasterflight_server.errors import ConfigError, RequestError
from rasterflight_server.ingest.presets import preset_text


def config_text(config: str | Path | None, preset: str | None, out: Path) -> bytes | None:
    """The configuration that an index will have; None: none.

    Parameters
    ----------
    config
        A TOML file.
    preset
        Name of a preset, instead.
    out
        Directory of the index: where neither is given, the configuration that lies there stays.

    Raises
    ------
    RequestError
        BAD_REQUEST: both are given, there is no such preset, or the file cannot be read.
    ConfigError
        What is in the file cannot be used.
    """
    if config is not None and preset is not None:
        raise RequestError(
            ErrorCode.BAD_REQUEST,
            "a preset and a configuration were given",
            field="preset",
            hint=f"take one: 'rasterflight-server presets {preset}' prints the preset, to be changed and given as --config",
        )
    if preset is not None:
        return preset_text(preset)
    path = out / CONFIGURATION if config is None else Path(config)
    try:
        text = path.read_bytes()
    except OSError as error:
        if config is None and isinstance(error, FileNotFoundError | NotADirectoryError):
            return None
        raise RequestError(
            ErrorCode.BAD_REQUEST,
            f"the configuration {path.name!r} cannot be read: {error.strerror}",
            field="config",
            hint="give a TOML file; 'rasterflight-server presets' lists some to begin with",
        ) from None
    Configuration.parse(text, path.name)
    return text


def put_configuration(out: Path, text: bytes, manifest: Manifest) -> None:
    """Put a configuration beside a new index, in one step.

    Raises
    ------
    ConfigError
        It does not fit the bands of the index; what lay there is left as it was.
    """
    try:
        override_manifest(manifest, Configuration.parse(text))
    except ConfigError as error:
        message = f"the index is built, but this configuration does not fit it: {error.message}"
        raise ConfigError(message, field=error.field, collection=error.collection, hint=error.hint) from None
    draft = out / f"{CONFIGURATION}.new"
    with draft.open("wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(out / CONFIGURATION)
