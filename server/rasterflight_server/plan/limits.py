"""What one request may ask of a collection, where its configuration sets bounds."""

from rasterflight_protocol import ErrorCode
from rasterflight_server.catalog import Collection
from rasterflight_server.errors import RequestError
from rasterflight_server.plan.request import Request

#: Limit -> what is counted, and the way out.
_WORDS = {
    "geometries": ("areas or windows", "ask for parts of them one after the other"),
    "records": ("records", "narrow them by filters, or ask for some after the other"),
    "chips": ("pairs of record and area", "narrow the records by filters, or ask for parts of the areas"),
    "pixels": ("pixels", "ask for smaller areas, fewer bands or records, or a coarser resolution"),
    "bytes": ("bytes of pixels", "ask for smaller areas, fewer bands or records, or a coarser resolution"),
}


def check_limit(collection: Collection, limit: str, count: int) -> None:
    """Hold a count against the configuration.

    Parameters
    ----------
    limit
        Field of ``Limits``.

    Raises
    ------
    RequestError
        LIMIT_EXCEEDED: names the limit and the way out.
    """
    most: int | None = getattr(collection.configuration.limits, limit)
    if most is not None and count > most:
        what, hint = _WORDS[limit]
        raise RequestError(
            ErrorCode.LIMIT_EXCEEDED,
            f"the request asks for {count} {what}, the collection gives {most} at a time (limits.{limit})",
            collection=collection.name,
            field=f"limits.{limit}",
            hint=hint,
        )


def check_geometries(collection: Collection, request: Request) -> None:
    """Hold the areas or windows of a request against the configuration; raises as ``check_limit``."""
    for places in (request.areas, request.windows):
        if places is not None:
            check_limit(collection, "geometries", len(places))
