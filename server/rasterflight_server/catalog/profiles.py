"""Profiles as JSON and back."""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from rasterflight_server.types import BandMeta, Level, Profile


def dump_profiles(profiles: Iterable[Profile]) -> str:
    """Render ``profiles.json``; JPEG tables go as base64."""
    return json.dumps([_document(profile) for profile in profiles])


def load_profiles(text: str | bytes) -> list[Profile]:
    """Read ``profiles.json``.

    Raises
    ------
    ValueError, KeyError, TypeError
        It is not one.
    """
    return [_profile(document) for document in json.loads(text)]


def _document(profile: Profile) -> dict[str, Any]:
    document = asdict(profile)
    for level in document["levels"]:
        if level["jpeg_tables"] is not None:
            level["jpeg_tables"] = b64encode(level["jpeg_tables"]).decode()
    return document


def _profile(document: dict[str, Any]) -> Profile:
    return Profile(
        levels=tuple(_level(level) for level in document["levels"]),
        bands=tuple(BandMeta(**band) for band in document["bands"]),
        nodata=document["nodata"],
    )


def _level(document: dict[str, Any]) -> Level:
    tables = document["jpeg_tables"]
    return Level(**{**document, "jpeg_tables": None if tables is None else b64decode(tables)})
