"""One STAC item as a record."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from rasterflight_server.ingest.jsonvalues import mapping, text
from rasterflight_server.ingest.sources import Failure, Notice, RecordSource
from rasterflight_server.ingest.stacassets import ALL_DATA, AssetChoice, read_assets
from rasterflight_server.ingest.stacgeometry import BadGeometryError, read_footprint

_NAMED: Final = 8


def read_item(
    item: Any,
    location: str,
    *,
    name: str = "an item",
    choice: AssetChoice = ALL_DATA,
    defaults: Mapping[str, Any] | None = None,
) -> RecordSource | Failure:
    """Read an item of STAC 1.0 or 1.1.

    A band is named by its asset's key; the names in ``eo:bands`` or ``bands``, and common names, are other names for it. Files with
    several bands go by those names. An item whose ``datetime`` is null has that of ``start_datetime``. All other properties are kept.

    Parameters
    ----------
    item
        The item as it came out of JSON; anything else is a failure.
    location
        Path or URL that it came from; relative hrefs start there.
    name
        What to call it if it has no id.
    choice
        Which assets to take.
    defaults
        ``item_assets`` of its collection.
    """
    record = text(mapping(item).get("id"))
    try:
        return _record(item, location, choice, mapping(defaults))
    except (_BadItemError, BadGeometryError) as error:
        return Failure(record or name, "", str(error))


class _BadItemError(Exception):
    """An item cannot be used; says why."""


def _record(item: Any, location: str, choice: AssetChoice, defaults: Mapping[str, Any]) -> RecordSource:
    if not isinstance(item, dict):
        raise _BadItemError("it is not a STAC item")
    record = text(item.get("id"))
    if record is None:
        raise _BadItemError("the item has no id")
    assets = tuple(read_assets(item, location, choice, defaults))
    if not assets:
        raise _BadItemError(_no_assets(item, choice))
    geometry, odd = read_footprint(item)
    properties = mapping(item.get("properties"))
    return RecordSource(
        id=record,
        assets=assets,
        when=_datetime(properties),
        geometry=geometry,
        properties={key: value for key, value in properties.items() if key != "datetime"},
        notices=tuple(Notice(record, "", reason) for reason in odd),
    )


def _no_assets(item: Mapping[str, Any], choice: AssetChoice) -> str:
    if not choice.keys:
        return "the item has no asset that is a TIFF"
    keys = list(mapping(item.get("assets")))
    more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
    return f"the item has none of the assets {', '.join(choice.keys)}; it has: {', '.join(keys[:_NAMED])}{more}"


def _datetime(properties: Mapping[str, Any]) -> datetime | None:
    said = properties.get("datetime") or properties.get("start_datetime")
    if said is None:
        return None
    try:
        value = datetime.fromisoformat(said)
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    except (TypeError, ValueError, OverflowError):
        raise _BadItemError(f"its datetime {said!r:.60} is not a date") from None
