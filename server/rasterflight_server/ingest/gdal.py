"""GDAL_METADATA: the tag in which GDAL keeps what TIFF has no tag for."""

import html
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from rasterflight_server.ingest.ifd import Directory

# Bounded, so that no text makes the search slow.
_ITEM: Final = re.compile(r"<Item\b([^<>]{0,1000})>(?:<!\[CDATA\[(.*?)\]\]>|([^<]*))</Item>", re.DOTALL)
_ATTRIBUTE: Final = re.compile(r"""(\w+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_SAMPLE: Final = re.compile(r"[0-9]{1,5}")
_ROLES: Final = {
    "scale": "scale",
    "offset": "offset",
    "unittype": "unit",
    "description": "description",
    "colorinterp": "colorinterp",
}
#: TIFF tags of text -> the names under which GDAL lists them.
_TEXTS: Final = {
    269: "TIFFTAG_DOCUMENTNAME",
    270: "TIFFTAG_IMAGEDESCRIPTION",
    305: "TIFFTAG_SOFTWARE",
    306: "TIFFTAG_DATETIME",
    315: "TIFFTAG_ARTIST",
    316: "TIFFTAG_HOSTCOMPUTER",
    33432: "TIFFTAG_COPYRIGHT",
}
TEXT_TAGS: Final = tuple(_TEXTS)
#: Beside its pixels, statistics say nothing, and they would make each file unlike all others.
_STATISTICS: Final = "STATISTICS_"
_MAX_VALUE: Final = 4096
_MAX_ITEMS: Final = 1024


@dataclass(slots=True)
class Metadata:
    """What the file says in words."""

    #: Of the file.
    file: dict[str, str] = field(default_factory=dict)
    #: Of each sample.
    bands: list[dict[str, str]] = field(default_factory=list)
    #: Of each sample: scale, offset, unit, description, colorinterp, as far as they are said.
    roles: list[dict[str, str]] = field(default_factory=list)

    def to_json(self) -> str:
        """``{"file": {name: value}, "bands": {"0": {name: value}}}`` without what is empty; "" when nothing is left."""
        bands = {str(number): tags for number, tags in enumerate(self.bands) if tags}
        document = {"file": self.file, "bands": bands}
        return json.dumps(document, ensure_ascii=False) if self.file or bands else ""


def read_metadata(page: Directory, xml: str, samples: int) -> Metadata:
    """Read GDAL_METADATA and the tags of text.

    Left out are other domains than the default one, statistics (``STATISTICS_*``), and values of more than 4096 characters.
    """
    found = parse_metadata(xml, samples)
    for tag, name in _TEXTS.items():
        text = page.text(tag)
        if text and len(text) <= _MAX_VALUE:
            found.file.setdefault(name, text)
    return found


def parse_metadata(xml: str, samples: int) -> Metadata:
    """Read the XML of GDAL_METADATA.

    It is flat, so it is searched rather than parsed: nothing in it can make a parser expand or follow anything.
    """
    found = Metadata({}, [{} for _ in range(samples)], [{} for _ in range(samples)])
    for count, (attributes, cdata, text) in enumerate(_ITEM.findall(xml)):
        facts = {name: double or single for name, double, single in _ATTRIBUTE.findall(attributes)}
        # GDAL escapes a value before it writes it as XML, which escapes it again.
        value = html.unescape(html.unescape(cdata or text.lstrip()))
        role, sample = _ROLES.get(facts.get("role", "").lower()), facts.get("sample")
        if sample is not None and not (_SAMPLE.fullmatch(sample) and int(sample) < samples):
            continue
        if role and sample is not None:
            found.roles[int(sample)][role] = value.strip()
        elif _kept(facts, value) and count < _MAX_ITEMS:
            tags = found.file if sample is None else found.bands[int(sample)]
            tags[html.unescape(facts["name"])] = value
    return found


def finite(text: str | None) -> float | None:
    """Read a number; None when there is none, or none to calculate with."""
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _kept(facts: Mapping[str, str], value: str) -> bool:
    name = facts.get("name", "")
    return bool(name and value) and not (
        facts.get("domain") or name.startswith(_STATISTICS) or len(value) > _MAX_VALUE or len(name) > _MAX_VALUE
    )
