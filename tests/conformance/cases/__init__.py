"""The cases, in the order in which they stand in vectors.json."""

from conformance.cases import chips

CASES = [*chips.CASES]

__all__ = ["CASES"]
