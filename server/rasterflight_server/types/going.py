"""Whether work is to go on: what takes long asks now and then."""

from collections.abc import Callable
from typing import TypeAlias

#: Raises when nobody waits for the work any more, or its time is up; else does nothing.
GoOn: TypeAlias = Callable[[], None]


def for_ever() -> None:
    """Go on to the end."""
