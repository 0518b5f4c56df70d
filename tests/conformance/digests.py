"""Tables as the vectors state them: types as text, and a digest for each column."""

import hashlib
import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

#: Columns with no more leaves than this are shown.
_SHOWN = 12


def type_text(type_: pa.DataType) -> str:
    """A type as text."""
    if isinstance(type_, pa.BaseExtensionType):
        return type_text(type_.storage_type)
    if pa.types.is_struct(type_):
        return f"struct<{', '.join(f'{field.name}: {_item(field)}' for field in type_)}>"
    if pa.types.is_fixed_size_list(type_):
        return f"fixed_size_list<{_item(type_.value_field)}>[{type_.list_size}]"
    if pa.types.is_list(type_):
        return f"list<{_item(type_.value_field)}>"
    if pa.types.is_timestamp(type_):
        return str(type_).replace("tz=", "")
    names = {pa.utf8(): "utf8", pa.float64(): "float64", pa.float32(): "float32"}
    return names.get(type_, str(type_))


def _item(field: pa.Field) -> str:
    return type_text(field.type) + ("" if field.nullable else " not null")


def schema_text(schema: pa.Schema) -> list[dict[str, Any]]:
    """The columns of a schema."""
    return [
        {
            "name": field.name,
            "type": type_text(field.type),
            "nullable": field.nullable,
            "metadata": {
                key: value for key, value in _metadata(field).items() if key.startswith("rasterflight:") or key == _NAME
            },
        }
        for field in schema
    ]


_NAME = "ARROW:extension:name"


def _metadata(field: pa.Field) -> dict[str, str]:
    found = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
    if isinstance(field.type, pa.BaseExtensionType):  # a library that knows the type takes its name out of the metadata
        found[_NAME] = field.type.extension_name
    return dict(sorted(found.items()))


def columns_of(table: pa.Table) -> dict[str, dict[str, Any]]:
    """Digests of all columns."""
    found = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        array = column.combine_chunks()
        array = pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array
        array = array.storage if isinstance(array, pa.ExtensionArray) else array
        if pa.types.is_struct(array.type):
            names = [f"{name}.{field.name}" for field in array.type]
            found.update(zip(names, map(digest, array.flatten()), strict=True))
        else:
            found[name] = digest(array)
    return found


def digest(array: pa.Array) -> dict[str, Any]:
    """Digest of one column."""
    lengths = None
    if _is_list(array.type):
        lengths = _lengths(array)
        while _is_list(array.type):
            array = array.flatten()
    valid = array.drop_null()
    about: dict[str, Any] = {
        "leaves": len(array),
        "nulls": array.null_count,
        "sha256": hashlib.sha256(_bytes(valid)).hexdigest(),
    }
    if array.null_count:
        validity = array.is_valid().to_numpy(zero_copy_only=False).astype(np.uint8)
        about["validity"] = hashlib.sha256(validity.tobytes()).hexdigest()
    if lengths is not None:
        about["lengths"] = lengths
    if len(array) <= _SHOWN and not pa.types.is_binary(array.type):
        about["shown"] = [_shown(value) for value in _numbers(array).to_pylist()]
    return about


def _is_list(type_: pa.DataType) -> bool:
    return pa.types.is_list(type_) or pa.types.is_fixed_size_list(type_)


def _lengths(array: pa.Array) -> list[int | None]:
    if pa.types.is_fixed_size_list(array.type):
        return [array.type.list_size if valid else None for valid in array.is_valid().to_pylist()]
    return pc.list_value_length(array).to_pylist()


def _bytes(valid: pa.Array) -> bytes:
    if pa.types.is_string(valid.type) or pa.types.is_binary(valid.type):
        texts = valid.cast(pa.binary()).to_pylist()
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    if pa.types.is_boolean(valid.type):
        return valid.cast(pa.uint8()).to_numpy().tobytes()
    values = _numbers(valid).to_numpy(zero_copy_only=False)
    return values.astype(values.dtype.newbyteorder("<")).tobytes()


def _numbers(array: pa.Array) -> pa.Array:
    return array.view(pa.int64()) if pa.types.is_timestamp(array.type) else array


def _shown(value: Any) -> Any:
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value
