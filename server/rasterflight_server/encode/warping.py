"""Rows of the chips layout whose pixels are made of those of another grid."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from rasterflight_server.encode.assembly import Assembly, Pixels, Wanted
from rasterflight_server.encode.chips import ChipsBatch
from rasterflight_server.encode.segments import Segment
from rasterflight_server.plan.cutouts import BandSource, unstored
from rasterflight_server.plan.physical import to_physical
from rasterflight_server.plan.stack import running_total
from rasterflight_server.plan.validity import invalid
from rasterflight_server.plan.warpedcut import WarpedCut
from rasterflight_server.read.reader import Piece
from rasterflight_server.types import Asset, Window
from rasterflight_server.warp import Block

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


class WarpedAssembly:
    """The pixels of a segment that are resampled.

    Parameters
    ----------
    batch
        Where the columns are.
    segment
        Which of its rows.
    cut
        That of the segment.
    """

    def __init__(self, batch: ChipsBatch, segment: Segment, cut: WarpedCut) -> None:
        self._batch = batch
        self.segment = segment
        self._cut = cut
        windows = cut.source_windows(segment.windows)
        #: Rows of the segment that any source pixels lie under.
        self._used = np.flatnonzero(windows[:, 2] * windows[:, 3])
        self._windows = windows[self._used]
        self._starts = running_total(self._windows[:, 2] * self._windows[:, 3])
        self._raw: dict[tuple[str, int, int], Pixels] = {}
        self._assets: dict[str, Asset] = {}
        for band in cut.bands:
            self._add(band.asset, band.number, band.sample)
            for witness in band.witnesses:
                self._add(band.asset, witness.level, witness.sample)
        self._made = [self._target(band) for band in cut.bands]
        self._valid = [np.zeros(segment.pixels, np.bool_) for _ in cut.bands]
        #: Bytes of memory that do not belong to the batch.
        self.nbytes = sum(array.nbytes for array in (*self._raw.values(), *self._valid)) + sum(
            made.nbytes for made, band in zip(self._made, cut.bands, strict=True) if band.scaled
        )

    def pieces(self, wanted: Wanted) -> Iterator[Piece]:  # noqa: ARG002 - all pixels around may count
        """What is to be read: of each level of each file, all samples together."""
        levels: dict[tuple[str, int], list[tuple[int, Pixels]]] = {}
        for (href, level, sample), out in self._raw.items():
            levels.setdefault((href, level), []).append((sample, out))
        for (href, level), outs in levels.items() if len(self._used) else ():
            asset = self._assets[href]
            yield Piece(self.segment.record.record.id, asset, level, self._windows, outs, unstored(asset, level), None)

    def rows_of(self, windows: Ints) -> Ints:
        """Rows of the batch that some windows of the pieces are for."""
        return self.segment.rows[self._used[windows]]

    def finish(self, outside: Bools | None) -> None:
        """Make columns of what was read.

        Parameters
        ----------
        outside
            Pixels outside the areas, in one dimension; None: there are none.
        """
        for made, band in zip(self._made, self._cut.bands, strict=True):
            made[...] = 0 if band.warped_nodata is None else band.warped_nodata
        first = running_total(self.segment.sizes)
        for number, row in enumerate(self._used.tolist()):
            self._resample(number, row, slice(int(first[row]), int(first[row + 1])))
        for band, made, valid in zip(self._cut.bands, self._made, self._valid, strict=True):
            column = self._batch.array(self.segment, band.column)
            hole = ~valid if outside is None else ~valid | outside
            if band.scaled:
                to_physical(made, band.meta, column)
            if band.scaled or outside is not None:
                np.copyto(column, band.fill, where=hole if band.scaled else outside)
            self._batch.set_validity(self.segment, band.column, hole)

    def _resample(self, number: int, row: int, where: slice) -> None:
        """Make the pixels of one row."""
        window = Window(*self.segment.windows[row].tolist())
        have = Window(*self._windows[number].tolist())
        part = slice(int(self._starts[number]), int(self._starts[number + 1]))
        shape = have.height, have.width
        bands = self._cut.bands
        raw = [self._raw[band.asset.href, band.number, band.sample][part].reshape(shape) for band in bands]
        valid = [self._counts(band, part, shape) for band in bands]
        for block in self._cut.blocks(window):
            there = _within(block, window)
            for band, pixels, counts, made, found in zip(bands, raw, valid, self._made, self._valid, strict=True):
                to = made[where].reshape(window.height, window.width)
                told = found[where].reshape(window.height, window.width)
                to[there], told[there] = block.resample(
                    pixels, have, valid=counts, nodata=band.warped_nodata, dtype=band.warped_dtype
                )

    def _counts(self, band: BandSource, part: slice, shape: tuple[int, int]) -> Bools | None:
        """Which of the pixels that were read are valid; None: all."""
        found = [
            (self._raw[band.asset.href, witness.level, witness.sample][part], witness.value)
            for witness in band.witnesses
        ]
        return ~invalid(found).reshape(shape) if found else None

    def _add(self, asset: Asset, level: int, sample: int) -> None:
        self._assets[asset.href] = asset
        key = asset.href, level, sample
        if key not in self._raw:
            self._raw[key] = np.empty(int(self._starts[-1]), asset.profile.level(level).dtype)

    def _target(self, band: BandSource) -> Pixels:
        if band.scaled:
            return np.empty(self.segment.pixels, band.warped_dtype)
        return self._batch.array(self.segment, band.column)


Assembling = Assembly | WarpedAssembly


def assembly(batch: ChipsBatch, segment: Segment) -> Assembling:
    """What makes the rows of a segment."""
    if isinstance(segment.cut, WarpedCut):
        return WarpedAssembly(batch, segment, segment.cut)
    return Assembly(batch, segment)


def _within(block: Block, window: Window) -> tuple[slice, slice]:
    col, row, width, height = block.target
    top, left = row - window.row_off, col - window.col_off
    return slice(top, top + height), slice(left, left + width)
