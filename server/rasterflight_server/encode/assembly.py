"""One row of the chips layout in the making: what is read for it, and how that becomes its columns."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from rasterflight_server.encode.chips import ChipsBatch
from rasterflight_server.plan.blocks import Block
from rasterflight_server.plan.cutouts import BandSource, unstored
from rasterflight_server.plan.physical import to_physical
from rasterflight_server.plan.validity import invalid
from rasterflight_server.read.reader import Piece
from rasterflight_server.types import Level

Pixels = npt.NDArray[Any]
#: Which tiles of a level under a block are wanted; None: all.
Wanted = Callable[[Block, Level], npt.NDArray[np.bool_] | None]


class Assembly:
    """The pixels of a block: those of its bands, and those that tell which are valid.

    Bands are read straight into the batch, unless they have another type there.

    Parameters
    ----------
    batch, row
        Where the columns are.
    block
        What the row holds.
    """

    __slots__ = ("_bands", "_batch", "_block", "_others", "_plain", "_row", "nbytes")

    def __init__(self, batch: ChipsBatch, row: int, block: Block) -> None:
        self._batch = batch
        self._row = row
        self._block = block
        bands = block.chip.cut.bands
        self._bands = [self._target(band) for band in bands]
        self._others: dict[tuple[str, int, int], tuple[BandSource, Pixels]] = {}
        # Most reads are: a row then costs no more than its pieces.
        self._plain = not any(band.witnesses or band.scaled for band in bands)
        #: Bytes of memory that do not belong to the batch.
        self.nbytes = 0
        if not self._plain:
            self._add_witnesses()
            self.nbytes = sum(pixels.nbytes for _, pixels in self._others.values()) + sum(
                pixels.nbytes for band, pixels in zip(bands, self._bands, strict=True) if band.dtype != band.level.dtype
            )

    def pieces(self, wanted: Wanted) -> Iterator[Piece]:
        """What is to be read."""
        for band, out in zip(self._block.chip.cut.bands, self._bands, strict=True):
            yield self._piece(band, 0, band.sample, out, wanted)
        for (_, level, sample), (band, out) in self._others.items():
            yield self._piece(band, level, sample, out, wanted)

    def finish(self, outside: npt.NDArray[np.bool_] | None) -> None:
        """Make columns of what was read.

        Parameters
        ----------
        outside
            Pixels outside the area; None: there are none.
        """
        if self._plain and outside is None:
            return
        bands = self._block.chip.cut.bands
        # Of all bands before any of them is changed: a band may tell about another.
        holes = [self._holes(band) for band in bands]
        for band, pixels, hole in zip(bands, self._bands, holes, strict=True):
            column = self._batch.array(self._row, band.column)
            if band.scaled:
                to_physical(pixels, band.meta, column)
                if hole is not None:
                    np.copyto(column, band.fill, where=hole)
            if outside is not None:
                np.copyto(column, band.fill, where=outside)
                hole = outside if hole is None else hole | outside  # noqa: PLW2901
            self._batch.set_validity(self._row, band.column, hole)

    def _add_witnesses(self) -> None:
        """Make room for the witnesses that are not among the bands."""
        bands = self._block.chip.cut.bands
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
            for band, pixels in zip(self._block.chip.cut.bands, self._bands, strict=True)
            if (band.asset.href, 0, band.sample) == (href, level, sample)
        )

    def _piece(self, band: BandSource, level: int, sample: int, out: Pixels, wanted: Wanted) -> Piece:
        block, asset = self._block, band.asset
        tiles = wanted(block, asset.profile.level(level))
        return Piece(block.chip.record.id, asset, level, sample, block.window, out, unstored(asset, level), tiles)

    def _target(self, band: BandSource) -> Pixels:
        if band.dtype == band.level.dtype:
            return self._batch.array(self._row, band.column)
        return self._room(band.level.dtype)

    def _room(self, dtype: str) -> Pixels:
        window = self._block.window
        return np.empty((window.height, window.width), dtype)
