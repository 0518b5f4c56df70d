"""The files of a record, by number."""

import os
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from affine import Affine

from rasterflight_server.catalog.configuration import BandConfig
from rasterflight_server.catalog.format import ASSETS, ASSETS_BATCH, ASSETS_SCHEMA, NONE, PROFILES, TILES
from rasterflight_server.catalog.ipc import MappedRows, values
from rasterflight_server.catalog.manifest import Manifest
from rasterflight_server.catalog.overrides import override_profile
from rasterflight_server.catalog.profiles import load_profiles
from rasterflight_server.catalog.tiles import TilesFile
from rasterflight_server.errors import BadIndexError
from rasterflight_server.types import Asset, Grid, Identity, Profile, TileRanges

#: Grids that are kept: bands of a record and records of a place share theirs.
_GRIDS: Final = 4096


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
    absolute
        Makes of an href a path or URL.
    bands
        What the configuration says of bands, by name.

    Raises
    ------
    BadIndexError
        A file is missing or damaged.
    """

    def __init__(
        self, directory: Path, manifest: Manifest, absolute: Callable[[str], str], bands: Mapping[str, BandConfig]
    ) -> None:
        self._rows = MappedRows(directory / ASSETS, ASSETS_SCHEMA, ASSETS_BATCH, _columns)
        self._tiles = TilesFile(directory / TILES)
        self._profiles = _profiles(directory / PROFILES)
        self._slots = manifest.slots
        self._crs = [crs.name for crs in manifest.crs]
        self._absolute = absolute
        said = [tuple(map(bands.get, slot.bands)) for slot in manifest.slots]
        self._said = [bands if any(bands) else None for bands in said]
        # A profile that files share stays one object, by slot and number.
        self._overridden: dict[tuple[int, int], Profile] = {}

    def get(self, record: int, slot: int) -> Asset | None:
        """Return the file in one slot of one record; None where the record has none."""
        columns, i = self._rows.locate(record * len(self._slots) + slot)
        profile = columns.profile.item(i)
        if profile == NONE:
            return None
        crs = columns.crs.item(i)
        grid = _grid(
            columns.width.item(i),
            columns.height.item(i),
            None if crs == NONE else self._crs[crs],
            tuple([column.item(i) for column in columns.transform]),
        )
        return Asset(
            key=self._slots[slot].key,
            href=self._absolute(columns.href[i].as_py()),
            identity=_identity(columns, i),
            profile=self._profile(slot, profile),
            grid=grid,
            tile_ranges=partial(_tile_ranges, self._tiles, columns.first_tiles_row.item(i)),
            tags=columns.tags[i].as_py() or "",
        )

    def pixel_sizes(self) -> list[dict[float, int]]:
        """By slot: widths of pixels, in units of their CRS, and how many files have them."""
        found: list[dict[float, int]] = [{} for _ in self._slots]
        row = 0
        for columns in self._rows.views():
            rows = np.arange(row, row + len(columns.profile))
            row += len(rows)
            sizes = np.hypot(columns.transform[0], columns.transform[3])
            there = columns.profile != NONE
            table = pa.table({"slot": (rows % len(self._slots))[there], "size": sizes[there]})
            counted = table.group_by(["slot", "size"]).aggregate([([], "count_all")])
            for slot, size, count in zip(*(column.to_pylist() for column in counted.columns), strict=True):
                found[slot][size] = found[slot].get(size, 0) + count
        return found

    def _profile(self, slot: int, number: int) -> Profile:
        said = self._said[slot]
        if said is None:
            return self._profiles[number]
        found = self._overridden.get((slot, number))
        if found is None:
            found = self._overridden.setdefault((slot, number), override_profile(self._profiles[number], said))
        return found


def from_folder(folder: Path, href: str) -> str:
    """Path or URL that an href of a local index means; a relative one starts from the folder that the index lies in."""
    return href if "://" in href else os.path.join(folder, href)  # noqa: PTH118 - called for each file of a read


@lru_cache(maxsize=_GRIDS)
def _grid(width: int, height: int, crs: str | None, transform: tuple[float, ...]) -> Grid:
    """One object for all rasters on a grid."""
    return Grid(width, height, Affine(*transform), crs)


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
