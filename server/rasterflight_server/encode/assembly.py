"""Rows of the chips layout in the making: what is read for them, and how that becomes their columns."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from rasterflight_server.encode.chips import ChipsBatch
from rasterflight_server.encode.segments import Segment
from rasterflight_server.plan.cutouts import BandSource, unstored
from rasterflight_server.plan.physical import to_physical
from rasterflight_server.plan.validity import invalid
from rasterflight_server.read.reader import Piece
from rasterflight_server.types import Asset, Level

Pixels = npt.NDArray[Any]
#: Which parts of the windows of a segment are wanted, cut along the tiles of a level; None: all.
Wanted = Callable[[Segment, Level], npt.NDArray[np.bool_] | None]


class Assembly:
    """The pixels of a segment: those of its bands, and those that tell which are valid.

    Bands are read straight into the batch, unless they have another type there.

    Parameters
    ----------
    batch
        Where the columns are.
    segment
        Which of its rows.
    """

    def __init__(self, batch: ChipsBatch, segment: Segment) -> None:
        self._batch = batch
        self.segment = segment
        bands = segment.cut.bands
        self._bands = [self._target(band) for band in bands]
        self._others: dict[tuple[str, int, int], tuple[BandSource, Pixels]] = {}
        self._add_witnesses()
        #: Bytes of memory that do not belong to the batch.
        self.nbytes = sum(pixels.nbytes for _, pixels in self._others.values()) + sum(
            pixels.nbytes for band, pixels in zip(bands, self._bands, strict=True) if band.dtype != band.level.dtype
        )

    def pieces(self, wanted: Wanted) -> Iterator[Piece]:
        """What is to be read: of each level of each file, all samples together."""
        samples: dict[tuple[str, int], tuple[Asset, list[tuple[int, Pixels]]]] = {}
        for band, out in zip(self.segment.cut.bands, self._bands, strict=True):
            samples.setdefault((band.asset.href, 0), (band.asset, []))[1].append((band.sample, out))
        for (href, level, sample), (band, out) in self._others.items():
            samples.setdefault((href, level), (band.asset, []))[1].append((sample, out))
        for (_, level), (asset, outs) in samples.items():
            yield Piece(
                self.segment.record.record.id,
                asset,
                level,
                self.segment.windows,
                outs,
                unstored(asset, level),
                wanted(self.segment, asset.profile.level(level)),
            )

    def finish(self, outside: npt.NDArray[np.bool_] | None) -> None:
        """Make columns of what was read.

        Parameters
        ----------
        outside
            Pixels outside the areas, in one dimension; None: there are none.
        """
        bands = self.segment.cut.bands
        # Of all bands before any of them is changed: a band may tell about another.
        holes = [self._holes(band) for band in bands]
        for band, pixels, hole in zip(bands, self._bands, holes, strict=True):
            column = self._batch.array(self.segment, band.column)
            if band.scaled:
                to_physical(pixels, band.meta, column)
                if hole is not None:
                    np.copyto(column, band.fill, where=hole)
            if outside is not None:
                np.copyto(column, band.fill, where=outside)
                hole = outside if hole is None else hole | outside  # noqa: PLW2901
            self._batch.set_validity(self.segment, band.column, hole)

    def _add_witnesses(self) -> None:
        """Make room for the witnesses that are not among the bands."""
        bands = self.segment.cut.bands
        read = {(band.asset.href, 0, band.sample) for band in bands}
        for band in bands:
            for witness in band.witnesses:
                key = band.asset.href, witness.level, witness.sample
                if key not in read:
                    read.add(key)
                    self._others[key] = band, self._room(band.asset.profile.level(witness.level).dtype)

    def _holes(self, band: BandSource) -> npt.NDArray[np.bool_] | None:
        found = [
            (self._pixels(band.asset.href, witness.level, witness.sample), witness.value) for witness in band.witnesses
        ]
        return invalid(found) if found else None

    def _pixels(self, href: str, level: int, sample: int) -> Pixels:
        if (href, level, sample) in self._others:
            return self._others[href, level, sample][1]
        return next(
            pixels
            for band, pixels in zip(self.segment.cut.bands, self._bands, strict=True)
            if (band.asset.href, 0, band.sample) == (href, level, sample)
        )

    def _target(self, band: BandSource) -> Pixels:
        if band.dtype == band.level.dtype:
            return self._batch.array(self.segment, band.column)
        return self._room(band.level.dtype)

    def _room(self, dtype: str) -> Pixels:
        return np.empty(self.segment.pixels, dtype)
