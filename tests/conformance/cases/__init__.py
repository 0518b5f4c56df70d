"""The cases, in the order in which they stand in vectors.json."""

from conformance.cases import chips, errors, filters, grids, tables, transport

CASES = [case for part in (chips, filters, grids, tables, transport, errors) for case in part.CASES]

__all__ = ["CASES"]
