"""Counts of records over time, as a row of small bars."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_BARS: Final = "▁▂▃▄▅▆▇█"
_PLAIN: Final = ".:-=+*%#"
#: Longer times are counted by the year.
_MOST_MONTHS: Final = 48
_YEAR: Final = 12


@dataclass(frozen=True, slots=True)
class Histogram:
    """Records by month or by year, without gaps."""

    #: "month" or "year".
    by: str
    #: The first and the last: "2018-04", or "2018".
    first: str
    last: str
    counts: Sequence[int]

    def bars(self, encoding: str = "utf-8") -> str:
        """One character for each count, in characters that the encoding has."""
        try:
            _BARS.encode(encoding)
        except (UnicodeEncodeError, LookupError):
            characters = _PLAIN
        else:
            characters = _BARS
        most = max(self.counts)
        return "".join(characters[-(-count * len(characters) // most) - 1] if count else " " for count in self.counts)

    def __str__(self) -> str:
        most = max(self.counts)
        return f"{self.first} to {self.last} by {self.by}, at most {most}"


def histogram(months: Mapping[str, int]) -> Histogram | None:
    """Lay counts by month out over time; None: there are none."""
    numbers = {_number(month): count for month, count in months.items()}
    if not numbers:
        return None
    first, last = min(numbers), max(numbers)
    if last - first < _MOST_MONTHS:
        counts = [numbers.get(number, 0) for number in range(first, last + 1)]
        return Histogram("month", _month(first), _month(last), counts)
    years = [0] * (last // _YEAR - first // _YEAR + 1)
    for number, count in numbers.items():
        years[number // _YEAR - first // _YEAR] += count
    return Histogram("year", f"{first // _YEAR:04d}", f"{last // _YEAR:04d}", years)


def _number(month: str) -> int:
    year, _, rest = month.rpartition("-")
    return int(year) * _YEAR + int(rest) - 1


def _month(number: int) -> str:
    return f"{number // _YEAR:04d}-{number % _YEAR + 1:02d}"
