"""Tables that have to be the same, bit by bit."""

import pyarrow as pa


def assert_same(found: pa.Table, expected: pa.Table) -> None:
    assert found.schema.equals(expected.schema, check_metadata=True)
    assert len(found) == len(expected)
    for name in expected.column_names:
        assert bits(found[name]).equals(bits(expected[name])), name


def bits(column: pa.ChunkedArray) -> pa.Array:
    """A column as it can be compared bit by bit: NaN is not equal to itself."""
    array = column.combine_chunks()
    if not (pa.types.is_list(array.type) and pa.types.is_float32(array.type.value_type)):
        return array
    values = array.flatten().view(pa.int32())
    return pa.ListArray.from_arrays(array.offsets, values)
