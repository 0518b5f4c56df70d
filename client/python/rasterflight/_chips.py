"""From rows to chips."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from operator import attrgetter
from typing import Any

import numpy as np
import pyarrow as pa

from rasterflight._rows import CHIP_COLUMNS, Block, Chip, Failed, rows
from rasterflight.errors import ProtocolError
from rasterflight_protocol import band_fields

#: Given a chip without pixels and the dtypes of its bands, gives the arrays ``[height, width]`` to write them to; the
#: dtype of masks is bool.
Allocate = Callable[[Chip, Mapping[str, np.dtype[Any]]], Mapping[str, np.ndarray]]


def new_arrays(chip: Chip, dtypes: Mapping[str, np.dtype[Any]]) -> dict[str, np.ndarray]:
    """Give each band of a chip an array of its own."""
    return {band: np.empty((chip.height, chip.width), dtype) for band, dtype in dtypes.items()}


def read_chips(
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    allocate: Allocate | None = None,
    allocate_masks: Allocate = new_arrays,
) -> Iterator[Chip]:
    """Put chips together from the rows of a read.

    Parameters
    ----------
    batches
        Rows in the layout "chips".
    schema
        Their schema.
    allocate
        Where pixels go. None: chips of one row are read-only views of their batch, larger ones get new arrays.
    allocate_masks
        Where the masks of those chips go whose pixels do not stay in their batch.

    Returns
    -------
    Iterator[Chip]
        In the order of the rows. With a column ``error``, a record waits for its last row, since it comes whole or
        not at all.

    Raises
    ------
    TypeError
        The rows are in another layout.
    ProtocolError
        The stream ends inside a chip (while iterating).
    """
    if not CHIP_COLUMNS.issubset(schema.names):
        raise TypeError("these rows are not chips: read with layout='chips'")
    items = _assemble(batches, [band.name for band in band_fields(schema)], allocate, allocate_masks)
    if "error" in schema.names:
        return _of_sound_records(items)
    return (item for item in items if isinstance(item, Chip))


def _of_sound_records(items: Iterable[Chip | Failed]) -> Iterator[Chip]:
    for _, group in groupby(items, key=attrgetter("record_id")):
        rows_of_record = list(group)
        chips = [item for item in rows_of_record if isinstance(item, Chip)]
        if len(chips) == len(rows_of_record):
            yield from chips


def _assemble(
    batches: Iterable[pa.RecordBatch], bands: list[str], allocate: Allocate | None, allocate_masks: Allocate
) -> Iterator[Chip | Failed]:
    unfinished: dict[tuple[Any, ...], _Unfinished] = {}
    for row in (row for batch in batches for row in rows(batch, bands)):
        if isinstance(row, Failed):
            unfinished = {key: chip for key, chip in unfinished.items() if key[0] != row.record_id}
            yield row
        elif not row.strips:
            continue  # the record has none of these bands
        elif row.height == row.chip.height:
            yield _whole(row, allocate, allocate_masks)
        else:
            # bands on another grid may come in between, so a chip is known by its bands too
            key = (row.chip.record_id, row.chip.geometry_id, *row.strips)
            if key not in unfinished:
                unfinished[key] = _Unfinished(row, allocate or new_arrays, allocate_masks)
            if unfinished[key].add(row):
                yield unfinished.pop(key).chip
    for record_id, *_ in unfinished:
        raise ProtocolError("the stream ended inside a chip", record=record_id)


def _whole(block: Block, allocate: Allocate | None, allocate_masks: Allocate) -> Chip:
    """Finish a chip that came in one row."""
    chip = block.chip
    chip.pixels.update(block.strips if allocate is None else _copied(block.strips, chip, allocate))
    if block.masks:
        chip.masks.update(block.masks if allocate is None else _copied(block.masks, chip, allocate_masks))
    return chip


def _copied(strips: Mapping[str, np.ndarray], chip: Chip, allocate: Allocate) -> Mapping[str, np.ndarray]:
    """Write pixels to where they go."""
    arrays = allocate(chip, {band: strip.dtype for band, strip in strips.items()})
    for band, strip in strips.items():
        arrays[band][...] = strip
    return arrays


class _Unfinished:
    """A chip whose blocks are still coming."""

    def __init__(self, block: Block, allocate: Allocate, allocate_masks: Allocate) -> None:
        self.chip = block.chip
        self.chip.pixels.update(allocate(block.chip, {band: strip.dtype for band, strip in block.strips.items()}))
        if block.masks:
            self.chip.masks.update(allocate_masks(block.chip, {band: mask.dtype for band, mask in block.masks.items()}))
        self._missing = block.chip.height

    def add(self, block: Block) -> bool:
        """Write a block to its place; say whether it was the last."""
        for band, strip in block.strips.items():
            self.chip.pixels[band][block.row_off : block.row_off + block.height] = strip
        for band, mask in block.masks.items():
            self.chip.masks[band][block.row_off : block.row_off + block.height] = mask
        self._missing -= block.height
        return self._missing <= 0
