"""Records from GeoTIFFs, in a folder or elsewhere, by the names of the files."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Final

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.ingest.sources import AssetSource, Failure, RecordSource

_SUFFIXES: Final = (".tif", ".tiff")
_PART: Final = re.compile(r"\{(\w*)\}|(\*)|([^{}*]+)|(.)")
_DATETIME: Final = r"\d{4}-\d\d-\d\d(?:T\d\d:?\d\d(?::?\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?|\d{8}(?:T\d{6}Z?)?|\d{4}"
_SEPARATORS: Final = ("_", "-", ".", " ", "/")
_RESERVED: Final = frozenset(["id", "datetime", "band"])
_KEY: Final = "image"


def read_folder(folder: Path, pattern: str | None) -> Iterator[RecordSource | Failure]:
    """Find the GeoTIFFs in a folder and in the folders below it.

    Parameters
    ----------
    folder
        Where to look.
    pattern
        What the path of a file, relative to the folder, looks like: ``"{id}_{band}.tif"``, ``"{scene}/*_{datetime}_{band}.tif"``.
        Fields stand in braces and, like ``*``, match within one part of the path. ``{id}`` says which files are of one record
        (without it: the path without ``{band}``), ``{band}`` names the band, ``{datetime}`` is YYYY, YYYYMMDD, YYYYMMDDTHHMMSS
        or ISO 8601; every other field becomes a text property. None: every file is a record, named by its path, whose bands are
        named by the file.

    Raises
    ------
    RequestError
        The pattern is not one.
    """
    files = sorted(path for path in folder.rglob("*") if is_raster(path))
    return read_files([(path.relative_to(folder).as_posix(), str(path)) for path in files], pattern, folder.name)


def read_files(files: Iterable[tuple[str, str]], pattern: str | None, root: str) -> Iterator[RecordSource | Failure]:
    """Make records of files.

    Parameters
    ----------
    files
        Name, which is the path relative to where was looked, and href.
    pattern
        As for ``read_folder``.
    root
        Id of a record whose files have nothing else in their names that could be one.

    Raises
    ------
    RequestError
        The pattern is not one.
    """
    if pattern is None:
        for name, href in files:
            yield RecordSource(id=str(PurePosixPath(name).with_suffix("")), assets=(_image(href),))
        return
    expression = compile_pattern(pattern)
    groups: dict[str, _Group] = {}
    for name, href in files:
        try:
            _add(groups, _match(expression, name, root), href)
        except _MismatchError as error:
            yield Failure(name, "", str(error))
    for record, group in groups.items():
        assets = tuple(
            AssetSource(key=band, href=href, single=band, unnamed=f"{band}_") if band else _image(href)
            for band, href in group.files.items()
        )
        yield RecordSource(id=record, assets=assets, when=group.when, properties=group.properties)


def is_raster(path: Path) -> bool:
    """Whether a path is a file that is called a TIFF."""
    return is_raster_name(path.name) and path.is_file()


def is_raster_name(name: str) -> bool:
    """Whether a file is called a TIFF."""
    return name.lower().endswith(_SUFFIXES)


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Turn a pattern for file names into a regular expression for whole relative paths.

    Raises
    ------
    RequestError
        A brace does not belong to a field, a field comes twice, or there is none.
    """
    expression, fields = "", set[str]()
    for name, star, literal, stray in _PART.findall(pattern):
        if literal:
            expression += re.escape(literal)
        elif star:
            expression += "[^/]*"
        elif stray or not name.isidentifier():
            raise _bad_pattern(f"{stray or '{' + name + '}'!r} in the pattern {pattern!r} is not a field")
        elif name in fields:
            raise _bad_pattern(f"the field {{{name}}} stands twice in the pattern {pattern!r}")
        else:
            fields.add(name)
            expression += f"(?P<{name}>{_DATETIME if name == 'datetime' else '[^/]+'})"
    if not fields:
        raise _bad_pattern(f"the pattern {pattern!r} has no field")
    return re.compile(expression)


class _MismatchError(Exception):
    """A file does not fit; says why."""


@dataclass(frozen=True, slots=True)
class _Match:
    record: str
    band: str
    when: datetime | None
    properties: dict[str, str]


@dataclass(slots=True)
class _Group:
    """The files of one record, by band."""

    when: datetime | None
    properties: dict[str, str]
    files: dict[str, str] = field(default_factory=dict)


def _image(href: str) -> AssetSource:
    return AssetSource(key=_KEY, href=href, by_description=True)


def _match(expression: re.Pattern[str], name: str, root: str) -> _Match:
    match = expression.fullmatch(name)
    if match is None:
        raise _MismatchError("its name does not fit the pattern")
    fields = match.groupdict()
    return _Match(
        record=fields.get("id") or _without_band(match, name) or root,
        band=fields.get("band", ""),
        when=_datetime(fields["datetime"]) if "datetime" in fields else None,
        properties={key: value for key, value in fields.items() if key not in _RESERVED},
    )


def _without_band(match: re.Match[str], name: str) -> str:
    end = len(name) - len(Path(name).suffix)
    if "band" not in match.re.groupindex:
        return name[:end]
    left, right = name[: match.start("band")], name[match.end("band") : end]
    # One of the two separators around the band goes with it.
    if left.endswith(_SEPARATORS):
        return left[:-1] + right
    return left + (right[1:] if right.startswith(_SEPARATORS) else right)


def _add(groups: dict[str, _Group], match: _Match, href: str) -> None:
    group = groups.setdefault(match.record, _Group(match.when, match.properties))
    if (group.when, group.properties) != (match.when, match.properties):
        raise _MismatchError(f"its date or properties differ from those of other files of the record {match.record!r}")
    if match.band in group.files:
        what = f"band {match.band!r}" if match.band else "file"
        raise _MismatchError(
            f"the record {match.record!r} has another {what}: {group.files[match.band].rpartition('/')[2]}"
        )
    group.files[match.band] = href


def _datetime(text: str) -> datetime:
    try:
        if len(text) == len("YYYY"):
            return datetime(int(text), 1, 1)  # noqa: DTZ001, naive UTC is what records hold
        value = datetime.fromisoformat(text)
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    except (ValueError, OverflowError):
        raise _MismatchError(f"{text!r} in its name is not a date") from None


def _bad_pattern(message: str) -> RequestError:
    return RequestError(
        ErrorCode.BAD_REQUEST,
        message,
        field="pattern",
        hint="fields are {id}, {datetime}, {band} or any other {name}, and * stands for anything; for example {id}_{band}.tif",
    )
