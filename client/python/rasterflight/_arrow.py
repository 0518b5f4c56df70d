"""Arrow data by whichever of Arrow's interfaces it comes: tables, streams and arrays of any library."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from rasterflight.errors import BadRequestError

_EXTENSION_NAME = b"ARROW:extension:name"


@dataclass(frozen=True)
class Column:
    """An array in pieces, and the field that says what it is."""

    field: pa.Field
    chunks: list[pa.Array]


def storage_of(array: pa.Array) -> pa.Array:
    """An array without what an extension type makes of it."""
    return array.storage if isinstance(array, pa.ExtensionArray) else array


def is_arrow(value: Any) -> bool:
    """Whether `open_arrow` takes it."""
    if is_pandas(value, "Series"):  # of objects, most of the time
        return False
    return is_pandas(value, "DataFrame") or hasattr(value, "__arrow_c_stream__") or hasattr(value, "__arrow_c_array__")


def is_pandas(value: Any, name: str) -> bool:
    """Whether this is a pandas object of the class; pandas itself may not be installed."""
    return any(cls.__name__ == name and cls.__module__.startswith("pandas") for cls in type(value).__mro__)


def open_arrow(value: Any) -> pa.RecordBatchReader | Column:
    """Open a table or a stream of batches as a reader, nothing of which is read yet, or an array as a column."""
    if is_pandas(value, "DataFrame"):
        return frame_table(value).to_reader()
    if isinstance(value, pa.Array | pa.ChunkedArray):
        return Column(pa.field("", value.type), value.chunks if isinstance(value, pa.ChunkedArray) else [value])
    field = _field(value)
    if field is not None and _is_array(field):
        return Column(field, _chunks(value))
    if not hasattr(value, "__arrow_c_stream__"):
        return pa.Table.from_batches([pa.record_batch(value)]).to_reader()
    try:
        return pa.RecordBatchReader.from_stream(value)
    except pa.ArrowInvalid:
        # an array in pieces, of a library that does not tell the field
        array = pa.chunked_array(value)
        return Column(pa.field("", array.type), array.chunks)


def frame_table(frame: Any) -> pa.Table:
    """Turn a pandas DataFrame into a table; its index is no column, and geometries become ``geoarrow.wkb``.

    Raises
    ------
    BadRequestError
        A column holds what Arrow has no type for.
    """
    shapes = [name for name, kind in frame.dtypes.items() if getattr(kind, "name", "") == "geometry"]
    try:
        if shapes:
            table = pa.table(frame.set_geometry(shapes[0]).to_arrow(index=False))
        else:
            table = pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise BadRequestError(
            f"the DataFrame does not become an Arrow table: {'; '.join(map(str, error.args))}",
            hint="drop the column, or give it a type",
        ) from None
    return table.replace_schema_metadata(None)


def without_views(table: pa.Table) -> pa.Table:
    """The same with texts and binaries in one piece instead of in views, which Arrow cannot take rows of."""
    fields = [field.with_type(_without_views(field.type)) for field in table.schema]
    return table.cast(pa.schema(fields, table.schema.metadata))


class _Schema:
    """Half of what ``__arrow_c_array__`` gives, for pyarrow to take by itself: imported with its array, it loses its metadata."""

    def __init__(self, capsule: Any) -> None:
        self._capsule = capsule

    def __arrow_c_schema__(self) -> Any:
        return self._capsule


def _field(value: Any) -> pa.Field | None:
    """The field of an array or, as a struct, of a table; None: only reading tells."""
    if hasattr(value, "__arrow_c_schema__"):
        return pa.field(value)
    if hasattr(value, "__arrow_c_array__"):
        return pa.field(_Schema(value.__arrow_c_array__()[0]))
    kind = getattr(value, "type", None)
    return pa.field(kind) if hasattr(kind, "__arrow_c_schema__") else None


def _without_views(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_string_view(kind):
        return pa.large_string()
    if pa.types.is_binary_view(kind):
        return pa.large_binary()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        item = kind.value_field.with_type(_without_views(kind.value_type))
        return pa.list_(item) if pa.types.is_list(kind) else pa.large_list(item)
    if pa.types.is_struct(kind):
        return pa.struct([part.with_type(_without_views(part.type)) for part in kind])
    return kind


def _chunks(value: Any) -> list[pa.Array]:
    if hasattr(value, "__arrow_c_array__"):
        return [pa.array(value)]
    return list(pa.chunked_array(value).chunks)


def _is_array(field: pa.Field) -> bool:
    return not pa.types.is_struct(field.type) or _EXTENSION_NAME in (field.metadata or {})
