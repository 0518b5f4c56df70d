"""A bar that says how far a read is."""

from types import TracebackType
from typing import Any, Self

from rasterflight._extras import need

#: Shorter reads need no bar.
_DELAY_SECONDS = 0.5


class Bar:
    """A tqdm bar in bytes of pixels; without tqdm, an ImportError says how to install it."""

    def __init__(self, title: str) -> None:
        tqdm = need("tqdm.auto", "cli").tqdm
        self._bar: Any = tqdm(desc=title, unit="B", unit_scale=True, unit_divisor=1024, delay=_DELAY_SECONDS)

    def update(self, done: int, total: int) -> None:
        """Show ``done`` of ``total`` bytes; 0: nobody knows the total."""
        self._bar.total = total or None
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
