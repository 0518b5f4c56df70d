"""What one request may ask for, and for how long: of the server, and of a collection whose configuration sets bounds."""

from collections.abc import Iterator
from typing import Final

from rasterflight_protocol import ErrorCode
from rasterflight_server.catalog import Collection
from rasterflight_server.errors import RequestError
from rasterflight_server.settings import RequestLimits
from rasterflight_server.types.going import GoOn, for_ever

#: Limit -> what is counted, and the way out.
_WORDS: Final = {
    "geometries": ("areas or windows", "ask for parts of them one after the other"),
    "vertices": ("vertices of areas", "simplify the areas, or ask for parts of them one after the other"),
    "records": ("records", "narrow them by filters, or ask for some after the other"),
    "chips": ("pairs of record and area", "narrow the records by filters, or ask for parts of the areas"),
    "pixels": ("pixels", "ask for smaller areas, fewer bands or records, or a coarser resolution"),
    "bytes": ("bytes of pixels", "ask for smaller areas, fewer bands or records, or a coarser resolution"),
}


class Allowance:
    """What one request may ask for; of two limits the tighter one counts.

    Parameters
    ----------
    server
        Limits of the server.
    collection
        That the request is for; None: only those of the server hold.
    go_on
        Raises when nobody waits for the answer any more, or its time is up.
    """

    def __init__(
        self,
        server: RequestLimits = RequestLimits(),  # noqa: B008 - it never changes
        collection: Collection | None = None,
        go_on: GoOn = for_ever,
    ) -> None:
        #: Called now and then while a request is read and planned.
        self.go_on = go_on
        self._server = server
        self._collection = collection

    def most(self, limit: str) -> int | None:
        """The tighter limit; None: there is none."""
        return min((most for most in self._both(limit) if most is not None), default=None)

    def pieces(self, count: int, size: int) -> Iterator[slice]:
        """Parts of much work, one after the other, while it may go on."""
        for start in range(0, count, size):
            self.go_on()
            yield slice(start, start + size)

    def check(self, limit: str, count: int, *, or_more: bool = False) -> None:
        """Hold a count against a limit.

        Parameters
        ----------
        limit
            Field of ``RequestLimits``.
        or_more
            Counting has stopped early.

        Raises
        ------
        RequestError
            LIMIT_EXCEEDED: names the limit, whose it is, and the way out.
        """
        most = self.most(limit)
        if most is None or count <= most:
            return
        what, hint = _WORDS[limit]
        of_collection = self._collection is not None and self._both(limit)[1] == most
        field = f"limits.{limit}" if of_collection else f"limits.request.{limit}"
        raise RequestError(
            ErrorCode.LIMIT_EXCEEDED,
            f"the request asks for {count}{' or more' if or_more else ''} {what}, "
            f"the {'collection' if of_collection else 'server'} gives {most} at a time ({field})",
            collection=self._collection.name if self._collection is not None else "",
            field=field,
            hint=hint,
        )

    def _both(self, limit: str) -> tuple[int | None, int | None]:
        own = None if self._collection is None else getattr(self._collection.configuration.limits, limit, None)
        return getattr(self._server, limit), own


#: Where nothing is set.
USUAL: Final = Allowance()
