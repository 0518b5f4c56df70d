"""Who makes a call, and what he may do."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a call; holds no secret."""

    key: str = ""
    """Tells callers apart; empty: this one does not say who he is."""

    name: str = "anonymous"
    """For people: in logs and figures."""

    collections: frozenset[str] | None = None
    """What he may read; None: everything."""

    admin: bool = False
    """He may run actions of the operator."""

    def may_read(self, collection: str) -> bool:
        """Whether a collection exists for him at all."""
        return self.collections is None or collection in self.collections


#: Somebody who does not say who he is.
ANONYMOUS = Caller()
