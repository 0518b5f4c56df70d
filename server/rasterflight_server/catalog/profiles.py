"""Profiles as JSON and back."""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from rasterflight_server.types import BandMeta, Level, Profile, YCbCr


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
    for band in document["bands"]:
        del band["nodata"], band["classes"]  # never set where an index is written
    for level in (*document["levels"], *document["masks"]):
        if level["jpeg_tables"] is not None:
            level["jpeg_tables"] = b64encode(level["jpeg_tables"]).decode()
    return document


def _profile(document: dict[str, Any]) -> Profile:
    return Profile(
        levels=tuple(_level(level) for level in document["levels"]),
        bands=tuple(_band(band) for band in document["bands"]),
        nodata=document["nodata"],
        fill=document["fill"],
        masks=tuple(_level(level) for level in document["masks"]),
        nodata_values=_tuple(document["nodata_values"]),
        colormap=_pairs(document["colormap"]),
    )


def _band(document: dict[str, Any]) -> BandMeta:
    return BandMeta(**{**document, "categories": _pairs(document["categories"])})


def _level(document: dict[str, Any]) -> Level:
    tables, ycbcr = document["jpeg_tables"], document["ycbcr"]
    return Level(
        **{
            **document,
            "jpeg_tables": None if tables is None else b64decode(tables),
            "ycbcr": None if ycbcr is None else YCbCr(**{name: tuple(values) for name, values in ycbcr.items()}),
        }
    )


def _tuple(values: Iterable[Any] | None) -> Any:
    return None if values is None else tuple(values)


def _pairs(entries: Iterable[Iterable[Any]] | None) -> Any:
    return None if entries is None else tuple(tuple(entry) for entry in entries)
