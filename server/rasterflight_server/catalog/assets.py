"""The files of a record, by number."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from affine import Affine

from rasterflight_server.catalog.format import ASSETS, ASSETS_BATCH, ASSETS_SCHEMA, NONE, PROFILES, TILES
from rasterflight_server.catalog.ipc import MappedRows, values
from rasterflight_server.catalog.manifest import Manifest
from rasterflight_server.catalog.profiles import load_profiles
from rasterflight_server.catalog.tiles import TilesFile
from rasterflight_server.errors import BadIndexError
from rasterflight_server.types import Asset, Grid, Identity, Profile, TileRanges


class _Columns(NamedTuple):
    """Columns of one batch, ready for lookups: views for numbers, Arrow arrays for the rest."""

    href: pa.Array
    size: pa.Array
    etag: pa.Array
    mtime_ns: pa.Array
    tags: pa.Array
    profile: npt.NDArray[np.int32]
    crs: npt.NDArray[np.int32]
    width: npt.NDArray[np.int32]
    height: npt.NDArray[np.int32]
    transform: tuple[npt.NDArray[np.float64], ...]
    first_tiles_row: npt.NDArray[np.int64]


class AssetsFile:
    """``assets.arrow`` of a snapshot, with the profiles and tile ranges that it refers to.

    Parameters
    ----------
    directory
        Folder of the snapshot.
    manifest
        Manifest of the index.
    base
        Folder that relative hrefs start from.

    Raises
    ------
    BadIndexError
        A file is missing or damaged.
    """

    def __init__(self, directory: Path, manifest: Manifest, base: Path) -> None:
        self._rows = MappedRows(directory / ASSETS, ASSETS_SCHEMA, ASSETS_BATCH, _columns)
        self._tiles = TilesFile(directory / TILES)
        self._profiles = _profiles(directory / PROFILES)
        self._slots = manifest.slots
        self._crs = [crs.name for crs in manifest.crs]
        self._base = str(base)

    def get(self, record: int, slot: int) -> Asset | None:
        """Return the file in one slot of one record; None where the record has none."""
        columns, i = self._rows.locate(record * len(self._slots) + slot)
        profile = columns.profile[i]
        if profile == NONE:
            return None
        crs = columns.crs[i]
        grid = Grid(
            width=int(columns.width[i]),
            height=int(columns.height[i]),
            transform=Affine(*[float(column[i]) for column in columns.transform]),
            crs=None if crs == NONE else self._crs[crs],
        )
        return Asset(
            key=self._slots[slot].key,
            href=self._absolute(columns.href[i].as_py()),
            identity=_identity(columns, i),
            profile=self._profiles[profile],
            grid=grid,
            tile_ranges=partial(_tile_ranges, self._tiles, int(columns.first_tiles_row[i])),
            tags=columns.tags[i].as_py() or "",
        )

    def _absolute(self, href: str) -> str:
        return href if href.startswith("/") or "://" in href else f"{self._base}/{href}"


def _identity(columns: _Columns, i: int) -> Identity | None:
    size = columns.size[i].as_py()
    return None if size is None else Identity(size, columns.mtime_ns[i].as_py(), columns.etag[i].as_py())


def _tile_ranges(tiles: TilesFile, first: int, level: int) -> TileRanges:
    return tiles.ranges(first + level)


def _columns(batch: pa.RecordBatch) -> _Columns:
    return _Columns(
        href=batch.column("href"),
        size=batch.column("size"),
        etag=batch.column("etag"),
        mtime_ns=batch.column("mtime_ns"),
        tags=batch.column("tags"),
        profile=values(batch.column("profile"), np.int32),
        crs=values(batch.column("crs"), np.int32),
        width=values(batch.column("width"), np.int32),
        height=values(batch.column("height"), np.int32),
        transform=tuple(values(batch.column(f"transform_{name}"), np.float64) for name in "abcdef"),
        first_tiles_row=values(batch.column("first_tiles_row"), np.int64),
    )


def _profiles(path: Path) -> list[Profile]:
    try:
        return load_profiles(path.read_bytes())
    except FileNotFoundError:
        raise BadIndexError(f"{path.name} of the index is missing", hint="build the index again") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise BadIndexError(f"{path.name} of the index is damaged", hint="build the index again") from None
