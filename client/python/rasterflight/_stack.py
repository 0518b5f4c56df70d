"""Memory for many arrays of one shape."""

from collections.abc import Sequence
from typing import Any

import numpy as np


class Stack:
    """Items of one shape and dtype, one after another.

    When the number of items was known in advance, the whole is one array that nothing was ever copied out of. When it
    was not, memory is added in pieces, since an item that is being written must not move.

    Parameters
    ----------
    shape
        Shape of one item.
    dtype
        Of all of them.
    expected
        How many there will be, as far as is known.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], expected: int) -> None:
        self._shape = shape
        self._dtype = dtype
        # memory that is not written to is not taken from the system: expecting too many costs nothing
        self._pieces = [np.empty((max(1, expected), *shape), dtype)]

    def like(self, dtype: np.dtype[Any]) -> "Stack":
        """Give an empty stack of the same shape for another dtype."""
        return Stack(self._shape, dtype, len(self._pieces[0]))

    def item(self, index: int) -> np.ndarray:
        """Give the place of an item, to write to."""
        for piece in self._pieces:
            if index < len(piece):
                return np.asarray(piece[index])
            index -= len(piece)
        self._pieces.append(np.empty((2 * max(index + 1, len(self._pieces[-1])), *self._shape), self._dtype))
        return np.asarray(self._pieces[-1][index])

    def array(self, indices: Sequence[int]) -> np.ndarray:
        """Give some items as one array ``[len(indices), *shape]``; a view where that is possible."""
        whole = self._pieces[0] if len(self._pieces) == 1 else np.concatenate(self._pieces)
        if list(indices) == list(range(len(indices))):
            return whole[: len(indices)]
        return whole[list(indices)]
