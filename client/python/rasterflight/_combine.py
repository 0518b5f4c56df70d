"""Records of the same time, laid over one another."""

from typing import Any, Literal, get_args

import numpy as np

from rasterflight._lattice import Place
from rasterflight._rows import Chip
from rasterflight.errors import BadRequestError, MergeConflictError
from rasterflight_protocol import BandField

Combine = Literal["combine_first", "merge", "merge_override"]

_INVALID, _VALID = 1, 2


def check_combine(combine: str) -> None:
    """Refuse a way to combine that does not exist.

    Raises
    ------
    BadRequestError
        Lists those that do.
    """
    if combine not in get_args(Combine):
        raise BadRequestError(
            f"xr_combine is {combine!r}, expected one of {', '.join(get_args(Combine))}", field="xr_combine"
        )


class Layer:
    """One time and area of one band, to which records add pixels in their order.

    A pixel gives way to a later one only where it is worth less: nothing yet, then no value (masked; or, in a read without
    masks, nodata or NaN), then a value. Under ``"merge_override"`` whatever lies inside the window of a record counts as a value.

    Parameters
    ----------
    pixels
        ``[height, width]``, full of the fill value; written to.
    mask
        The same of invalid pixels, full of True; None when the read is not masked.
    extent
        The place of ``pixels`` on the lattice.
    band
        Knows nodata.
    combine
        See `Collection.get_xarray`.
    origin
        The place of the whole result, when ``pixels`` are a part of it.
    """

    def __init__(
        self,
        pixels: np.ndarray,
        mask: np.ndarray | None,
        extent: Place,
        band: BandField,
        *,
        combine: Combine,
        origin: Place | None = None,
    ) -> None:
        self._pixels = pixels
        self._mask = mask
        self._extent = extent
        self._band = band
        self._combine = combine
        self._origin = origin or extent
        self._chips: list[tuple[Chip, Place]] = []
        self._worth: np.ndarray | None = None

    def add(self, chip: Chip, place: Place) -> None:
        """Lay a chip under what is there.

        Raises
        ------
        MergeConflictError
            Under ``"merge"``, both have a value at one pixel, and not the same.
        """
        rows, cols = place.within(self._extent)
        target, pixels, mask = self._pixels[rows, cols], chip.pixels[self._band.name], chip.masks.get(self._band.name)
        if not self._chips:
            target[...] = pixels  # most layers see one record only: what it is worth can wait
            if self._mask is not None:
                self._mask[rows, cols] = mask
        else:
            worth, offered = self._worth_so_far()[rows, cols], self._worth_of(pixels, mask)
            if self._combine == "merge":
                both = (worth == _VALID) & (offered == _VALID)
                self._check_conflict(chip, place, both & (target != pixels))
            better = offered > worth
            target[better] = pixels[better]
            if self._mask is not None and mask is not None:
                self._mask[rows, cols][better] = mask[better]
            np.maximum(worth, offered, out=worth)
        self._chips.append((chip, place))

    def _worth_so_far(self) -> np.ndarray:
        if self._worth is None:
            self._worth = np.zeros(self._pixels.shape, np.uint8)
            inside = self._chips[0][1].within(self._extent)
            self._worth[inside] = self._worth_of(
                self._pixels[inside], None if self._mask is None else self._mask[inside]
            )
        return self._worth

    def _worth_of(self, pixels: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        valid: Any = np.True_
        if self._combine != "merge_override" and mask is not None:
            valid = ~mask
        elif self._combine != "merge_override":
            nodata = self._band.nodata_value()
            if nodata is not None:
                valid = pixels != nodata
            if pixels.dtype.kind == "f":
                valid = valid & ~np.isnan(pixels)
        return np.broadcast_to(np.where(valid, _VALID, _INVALID).astype(np.uint8), pixels.shape)

    def _check_conflict(self, chip: Chip, place: Place, differs: np.ndarray) -> None:
        if not differs.any():
            return
        y, x = (int(index[0]) + start for index, start in zip(np.nonzero(differs), place, strict=False))
        values = [self._value(*earlier, y, x) for earlier in self._chips]
        other, value = next((record, value) for record, value in values if record)
        raise MergeConflictError(
            f"records {other} and {chip.record_id} differ in {self._band.name} at row {y - self._origin.row}, column "
            f"{x - self._origin.col} of the result: {value} and {self._value(chip, place, y, x)[1]}",
            hint="xr_combine='combine_first' takes the first",
        )

    def _value(self, chip: Chip, place: Place, y: int, x: int) -> tuple[str, Any]:
        """The record and its value at a pixel of the lattice; an empty name when it has none there."""
        row, col = y - place.row, x - place.col
        if not (0 <= row < place.height and 0 <= col < place.width):
            return "", None
        value, mask = chip.pixels[self._band.name][row, col], chip.masks.get(self._band.name)
        worth = self._worth_of(value, None if mask is None else mask[row, col])
        return (chip.record_id if worth == _VALID else ""), value
