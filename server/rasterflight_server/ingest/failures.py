"""What could not be indexed: collected, reported, and held against what may fail."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.ingest.sources import Failure

#: Beside the manifest.
REPORT: Final = "failures.parquet"
LEFT_OUT: Final = "none of its files can be read, it is not in the index"
_NAMED: Final = 3
_PERCENT: Final = 100
_SCHEMA: Final = pa.schema([(name, pa.utf8()) for name in ("record", "asset", "reason")])


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much may fail before a build does."""

    limit: float
    #: The limit is a share of all files, not a number of them.
    share: bool

    @classmethod
    def parse(cls, text: str | float) -> "Allowance":
        """Understand "1%", "0.5 %", or a whole number of files.

        Raises
        ------
        RequestError
            BAD_REQUEST: anything else.
        """
        said = str(text).strip()
        share = said.endswith("%")
        try:
            limit = float(said.removesuffix("%"))
        except ValueError:
            limit = -1.0
        if not (0 <= limit <= _PERCENT if share else limit >= 0 and limit.is_integer()):
            raise RequestError(
                ErrorCode.BAD_REQUEST,
                f"{text!r} does not say how much may fail",
                field="fail_over",
                hint="give a share such as 1%, or a number of files",
            )
        return cls(limit / _PERCENT if share else limit, share)

    def exceeded(self, failed: int, tried: int) -> bool:
        """Whether more failed than may."""
        return failed > (self.limit * tried if self.share else self.limit)


class Failures:
    """Failures of one build, as they come.

    Parameters
    ----------
    on_failure
        Called with each.
    """

    def __init__(self, on_failure: Callable[[Failure], None] | None = None) -> None:
        self.found: list[Failure] = []
        #: Files, and records that had none to try.
        self.tried = 0
        self._on_failure = on_failure

    def add(self, failure: Failure) -> None:
        """Note a failure."""
        self.found.append(failure)
        if self._on_failure is not None:
            self._on_failure(failure)

    @property
    def own(self) -> list[Failure]:
        """Failures that are not just what follows from others."""
        return [failure for failure in self.found if failure.reason != LEFT_OUT]

    def check(self, allowance: Allowance | None, hint: str) -> None:
        """End the build if too much failed.

        Raises
        ------
        RequestError
            BAD_REQUEST: summarises the reasons.
        """
        failed = len(self.own)
        if allowance is not None and allowance.exceeded(failed, max(self.tried, failed)):
            allowed = f"{allowance.limit:.4g}" if not allowance.share else f"{allowance.limit * _PERCENT:.4g} %"
            raise RequestError(
                ErrorCode.BAD_REQUEST,
                f"{failed} of {max(self.tried, failed)} files failed, {allowed} may: {self._summary()}",
                field="fail_over",
                hint=hint,
            )

    def nothing(self) -> RequestError:
        """Error for a build that has no record: one example for each of the first reasons."""
        first: dict[str, Failure] = {}
        for failure in self.own:
            first.setdefault(failure.reason, failure)
        named = list(first.values())[:_NAMED]
        reasons = "; ".join(map(str, named)) or "the source has no TIFF"
        more = f"; {len(self.found)} failures in all" if len(self.found) > len(named) else ""
        return RequestError(ErrorCode.BAD_REQUEST, f"nothing can be indexed: {reasons}{more}", field="source")

    def _summary(self) -> str:
        counts = Counter(failure.reason for failure in self.own).most_common()
        named = "; ".join(f"{count} x {reason}" for reason, count in counts[:_NAMED])
        return f"{named}; and {len(counts) - _NAMED} other reasons" if len(counts) > _NAMED else named


def write_report(path: Path, failures: Sequence[Failure]) -> None:
    """Write failures as Parquet: record, asset, reason (utf8)."""
    columns = {name: [getattr(failure, name) for failure in failures] for name in _SCHEMA.names}
    pq.write_table(pa.table(columns, schema=_SCHEMA), path)
