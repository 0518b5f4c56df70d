"""Indexes back into the forms that others read: stac-geoparquet, and collections of rasteret."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.ingest.exportrasteret import write_rasteret
from rasterflight_server.ingest.exportstac import write_stac
from rasterflight_server.ingest.indexrows import IndexRows
from rasterflight_server.ingest.sources import Failure

_Fail = Callable[[Failure], None]

FORMS: Final[dict[str, Callable[[IndexRows, Path, _Fail], int]]] = {
    "stac-geoparquet": write_stac,
    "rasteret": write_rasteret,
}


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What became of an export."""

    path: Path
    records: int
    #: What is not in it, and why.
    failures: tuple[Failure, ...]


def export_index(directory: str | Path, to: str, out: str | Path) -> ExportReport:
    """Write the records of an index in another form; no raster is opened.

    It says what the files and their catalog say; what the configuration says of bands goes with ``collection.toml`` alone.

    Parameters
    ----------
    directory
        Directory of the index.
    to
        ``"stac-geoparquet"``: one file, a row per item. ``"rasteret"``: a folder of Parquet files by year and month, whose
        columns ``{band}_metadata`` hold what rasteret needs to read the pixels; files that it cannot read (strips, JPEG,
        big-endian, rotated ...) are left out and listed.
    out
        Path of what is written; nothing may be there yet. It appears when it is complete.

    Raises
    ------
    RequestError
        BAD_REQUEST: there is no such form, no file can be in it, or the path is taken or cannot be written.
    BadIndexError
        The directory is not an index, or a damaged one.
    """
    if to not in FORMS:
        raise RequestError(
            ErrorCode.BAD_REQUEST,
            f"an index cannot be exported to {to!r:.60}",
            field="to",
            hint=f"to {' or '.join(FORMS)}",
        )
    rows = IndexRows(Path(directory))
    failures: list[Failure] = []
    with _draft(Path(out)) as draft:
        records = FORMS[to](rows, draft, failures.append)
        if not records:
            raise RequestError(ErrorCode.BAD_REQUEST, f"nothing can be exported to {to}: {failures[0]}", field="to")
    return ExportReport(Path(out), records, tuple(failures))


@contextmanager
def _draft(out: Path) -> Iterator[Path]:
    """Path to write to, which becomes ``out`` at the end; what was not finished leaves no trace."""
    if out.exists():
        raise _unusable(out, "something is there already")
    draft = out.with_name(f".{out.name}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _remove(draft)
        try:
            yield draft
            draft.rename(out)
        finally:
            _remove(draft)
    except OSError as error:
        raise _unusable(out, error.strerror or "it cannot be written") from None


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _unusable(out: Path, why: str) -> RequestError:
    return RequestError(
        ErrorCode.BAD_REQUEST,
        f"the export cannot be written to {out.name!r}: {why}",
        field="out",
        hint="give another path",
    )
