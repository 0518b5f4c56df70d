"""The manifest: what an index is, in one small JSON file."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rasterflight_protocol import Categories
from rasterflight_server.catalog.format import FORMAT, FORMAT_VERSION, MANIFEST
from rasterflight_server.errors import BadIndexError


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for one file in every record. Files of one key that hold other bands have a slot of their own."""

    #: STAC asset key.
    key: str
    #: Names of the file's samples, in order.
    bands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """Where a band may lie in a record."""

    #: Position in ``Manifest.slots``.
    slot: int
    #: 0-based sample of the file.
    sample: int


@dataclass(frozen=True, slots=True)
class BandEntry:
    """A band of a collection. A record has it in at most one of the candidates."""

    name: str
    #: Other names that it answers to.
    aliases: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    #: All that occur, the most frequent first.
    dtypes: tuple[str, ...]
    #: All that occur, the most frequent first; None: files without.
    nodatas: tuple[str | None, ...]
    # As said by the file that was read first.
    scale: float | None = None
    offset: float | None = None
    unit: str | None = None
    description: str | None = None
    colorinterp: str | None = None
    categories: Categories | None = None


@dataclass(frozen=True, slots=True)
class CrsEntry:
    """A CRS that rasters of the collection have."""

    #: "EPSG:32618", or WKT2 where no authority code says it.
    name: str
    wkt: str
    projjson: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that is said once for a whole index."""

    name: str
    snapshot: str
    #: RFC 3339, UTC.
    created: str
    #: Version of rasterflight that wrote it.
    generator: str
    #: What was indexed: a folder or a STAC file.
    source: str
    records: int
    bands: tuple[BandEntry, ...]
    slots: tuple[Slot, ...]
    crs: tuple[CrsEntry, ...]
    #: (minx, miny, maxx, maxy) of all footprints in OGC:CRS84.
    extent: tuple[float, float, float, float] | None
    #: First and last datetime, RFC 3339.
    time_range: tuple[str, str] | None
    #: How to run the sources again, one after the other; empty: not known.
    sources: tuple[Mapping[str, Any], ...] = ()

    def to_json(self) -> str:
        """Render the file."""
        return json.dumps({"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(self)}, indent=1)

    @classmethod
    def read(cls, directory: Path) -> "Manifest":
        """Read and check ``DIR/manifest.json``.

        Raises
        ------
        BadIndexError
            There is none, it is damaged, or a newer rasterflight made it.
        """
        try:
            data = (directory / MANIFEST).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise BadIndexError(
                f"{directory.name!r} is not an index: it has no {MANIFEST}",
                hint="make one with: rasterflight-server index SOURCE --out DIR --name NAME",
            ) from None
        except OSError as error:
            raise BadIndexError(f"the {MANIFEST} of {directory.name!r} cannot be read: {error.strerror}") from None
        return cls.parse(data, directory.name)

    @classmethod
    def parse(cls, data: bytes, index: str) -> "Manifest":
        """Check what stands in a manifest.

        Parameters
        ----------
        data
            The file.
        index
            What to call the index in errors.

        Raises
        ------
        BadIndexError
            It is damaged, or a newer rasterflight made it.
        """
        try:
            document = json.loads(data)
        except ValueError:
            raise _damaged(index, "it is not JSON") from None
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise BadIndexError(f"{index!r} is not an index: its {MANIFEST} is of another kind")
        version = document.get("format_version")
        if not isinstance(version, int):
            raise _damaged(index, "it has no format version")
        if version > FORMAT_VERSION:
            raise BadIndexError(
                f"the index {index!r} was made by a newer version of rasterflight"
                f" (index format {version}, this server reads up to {FORMAT_VERSION})",
                hint="upgrade the server, or build the index again with this version",
            )
        try:
            return _manifest(document)
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(index, f"{type(error).__name__}: {error}") from None


def is_index(directory: Path) -> bool:
    """Whether a directory holds an index of any version, be it damaged otherwise."""
    try:
        document = json.loads((directory / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and document.get("format") == FORMAT


def _manifest(document: dict[str, Any]) -> Manifest:
    extent, time_range = document["extent"], document["time_range"]
    return Manifest(
        **{key: str(document[key]) for key in ("name", "snapshot", "created", "generator", "source")},
        records=int(document["records"]),
        bands=tuple(_band(band) for band in document["bands"]),
        slots=tuple(Slot(slot["key"], tuple(slot["bands"])) for slot in document["slots"]),
        crs=tuple(CrsEntry(**crs) for crs in document["crs"]),
        extent=None if extent is None else (extent[0], extent[1], extent[2], extent[3]),
        time_range=None if time_range is None else (time_range[0], time_range[1]),
        sources=tuple(map(dict, document.get("sources", ()))),
    )


def _band(document: dict[str, Any]) -> BandEntry:
    lists = {
        "aliases": tuple(document["aliases"]),
        "candidates": tuple(Candidate(**candidate) for candidate in document["candidates"]),
        "dtypes": tuple(document["dtypes"]),
        "nodatas": tuple(document["nodatas"]),
        "categories": None if document["categories"] is None else tuple(map(tuple, document["categories"])),
    }
    return BandEntry(**{**document, **lists})


def _damaged(index: str, why: str) -> BadIndexError:
    return BadIndexError(f"the {MANIFEST} of {index!r} is damaged: {why}", hint="build the index again")
