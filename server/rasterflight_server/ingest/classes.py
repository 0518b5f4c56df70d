"""Names of classes, by the classification extension of STAC."""

from typing import Any, Final

from rasterflight_protocol import Categories
from rasterflight_server.ingest.properties import clean_text

_MAX_CLASSES: Final = 1024


def read_classes(entries: Any) -> Categories | None:
    """Read ``classification:classes``; None when it names none. Entries that make no sense are left out."""
    if not isinstance(entries, list):
        return None
    found: dict[int, str] = {}
    for entry in entries[:_MAX_CLASSES]:
        value = entry.get("value") if isinstance(entry, dict) else None
        if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**64:
            texts = (entry.get(key) for key in ("name", "title", "description"))
            name = next((text for text in texts if isinstance(text, str) and text), None)
            if name is not None:
                found.setdefault(value, clean_text(name))
    return tuple(found.items()) or None
