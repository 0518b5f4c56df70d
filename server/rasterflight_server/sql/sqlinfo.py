"""What Flight SQL tells of the service itself: what it can do, and its types. Numbers are those of Flight SQL and ODBC."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Final

import pyarrow as pa

from rasterflight_server.sql.handles import MAX_HANDLE_BYTES

_UNION: Final = [
    pa.field("string_value", pa.utf8()),
    pa.field("bool_value", pa.bool_()),
    pa.field("bigint_value", pa.int64()),
    pa.field("int32_bitmask", pa.int32()),
    pa.field("string_list", pa.list_(pa.utf8())),
    pa.field("int32_to_int32_list_map", pa.map_(pa.int32(), pa.list_(pa.int32()))),
]
_TEXT, _FLAG, _LONG, _INT, _TEXTS, _MAP = range(6)
_NONE: Final = 0
#: Each by its number: which member of the union, and its value.
_INFO: Final[dict[int, tuple[int, Any]]] = {
    # the server: name, version, version of Arrow, read-only, SQL, Substrait, transactions, cancelling by name, timeouts (none)
    0: (_TEXT, "rasterflight"),
    1: (_TEXT, version("rasterflight")),
    2: (_TEXT, pa.__version__),
    3: (_FLAG, True),
    4: (_FLAG, True),
    5: (_FLAG, False),
    8: (_INT, _NONE),
    9: (_FLAG, False),
    100: (_INT, 0),
    101: (_INT, 0),
    # no catalog, schema or table is made or dropped
    500: (_FLAG, False),
    501: (_FLAG, False),
    502: (_FLAG, False),
    # identifiers: case does not matter, quoted or not
    503: (_INT, 1),
    504: (_TEXT, '"'),
    505: (_INT, 1),
    506: (_FLAG, True),
    # nulls come last, whatever the order
    507: (_INT, 3),
    508: (_TEXTS, []),
    509: (_TEXTS, ["ABS", "CEIL", "FLOOR", "LN", "LOG", "POWER", "ROUND", "SIGN", "SQRT", "TRUNC"]),
    510: (_TEXTS, ["CONCAT", "LEFT", "LENGTH", "LOWER", "REPLACE", "RIGHT", "SUBSTRING", "TRIM", "UPPER"]),
    511: (_TEXTS, []),
    512: (_TEXTS, ["DATE_PART", "DATE_TRUNC", "DAY", "HOUR", "MINUTE", "MONTH", "NOW", "SECOND", "YEAR"]),
    513: (_TEXT, "\\"),
    514: (_TEXT, ""),
    515: (_FLAG, True),
    516: (_FLAG, True),
    # conversions between types that are not asked for by CAST: none are told
    517: (_MAP, []),
    518: (_FLAG, True),
    519: (_FLAG, False),
    520: (_FLAG, True),
    521: (_FLAG, True),
    522: (_INT, 0b11),
    523: (_FLAG, True),
    524: (_FLAG, False),
    525: (_INT, 0b11),
    526: (_INT, 0b1),
    527: (_FLAG, False),
    528: (_INT, 2),
    529: (_TEXT, "schema"),
    530: (_TEXT, ""),
    531: (_TEXT, "catalog"),
    532: (_FLAG, True),
    533: (_INT, _NONE),
    534: (_INT, _NONE),
    535: (_INT, _NONE),
    536: (_FLAG, False),
    537: (_FLAG, False),
    538: (_INT, 0b1111),
    539: (_FLAG, True),
    540: (_INT, 0b11),
    # 541 to 561, limits: none, but for the length of a statement
    **dict.fromkeys(range(541, 562), (_LONG, 0)),
    556: (_FLAG, False),
    557: (_LONG, MAX_HANDLE_BYTES),
    # no isolation of transactions, since there are none; a long, as the JDBC driver wants it
    562: (_LONG, _NONE),
    563: (_FLAG, False),
    564: (_INT, 0b1),
    565: (_FLAG, False),
    566: (_FLAG, False),
    # results: forward only, read only
    567: (_INT, 0b10),
    568: (_INT, 0b10),
    569: (_INT, 0b10),
    570: (_INT, _NONE),
    571: (_INT, _NONE),
    572: (_FLAG, False),
    573: (_FLAG, False),
    574: (_FLAG, False),
    575: (_FLAG, False),
    576: (_FLAG, False),
}

_TYPES: Final = pa.schema(
    [
        pa.field("type_name", pa.utf8(), nullable=False),
        pa.field("data_type", pa.int32(), nullable=False),
        pa.field("column_size", pa.int32()),
        pa.field("literal_prefix", pa.utf8()),
        pa.field("literal_suffix", pa.utf8()),
        pa.field("create_params", pa.list_(pa.field("item", pa.utf8(), nullable=False))),
        pa.field("nullable", pa.int32(), nullable=False),
        pa.field("case_sensitive", pa.bool_(), nullable=False),
        pa.field("searchable", pa.int32(), nullable=False),
        pa.field("unsigned_attribute", pa.bool_()),
        pa.field("fixed_prec_scale", pa.bool_(), nullable=False),
        pa.field("auto_increment", pa.bool_()),
        pa.field("local_type_name", pa.utf8()),
        pa.field("minimum_scale", pa.int32()),
        pa.field("maximum_scale", pa.int32()),
        pa.field("sql_data_type", pa.int32(), nullable=False),
        pa.field("datetime_subcode", pa.int32()),
        pa.field("num_prec_radix", pa.int32()),
        pa.field("interval_precision", pa.int32()),
    ]
)
#: Name, number, size, and the base of its digits; by number.
_KNOWN: Final = (
    ("BOOLEAN", -7, 1, None),
    ("TINYINT", -6, 3, 10),
    ("BIGINT", -5, 19, 10),
    ("BLOB", -3, None, None),
    ("DECIMAL", 3, 38, 10),
    ("INTEGER", 4, 10, 10),
    ("SMALLINT", 5, 5, 10),
    ("FLOAT", 7, 24, 2),
    ("DOUBLE", 8, 53, 2),
    ("VARCHAR", 12, None, None),
    ("DATE", 91, 10, None),
    ("TIME", 92, 15, None),
    ("TIMESTAMP", 93, 26, None),
)
_DATETIME: Final = {91: 1, 92: 2, 93: 3}
_DATETIME_TYPE: Final = 9
_QUOTED: Final = frozenset(["BLOB", "VARCHAR", "DATE", "TIME", "TIMESTAMP"])


def sql_info(wanted: Sequence[int]) -> pa.Table:
    """Facts about the service, by number; none wanted: all. Those that are not known are left out."""
    numbers = [number for number in wanted or _INFO if number in _INFO]
    members: list[list[Any]] = [[] for _ in _UNION]
    kinds, offsets = [], []
    for number in numbers:
        kind, value = _INFO[number]
        kinds.append(kind)
        offsets.append(len(members[kind]))
        members[kind].append(value)
    children = [pa.array(values, field.type) for values, field in zip(members, _UNION, strict=True)]
    names = [field.name for field in _UNION]
    value = pa.UnionArray.from_dense(pa.array(kinds, pa.int8()), pa.array(offsets, pa.int32()), children, names)
    schema = pa.schema(
        [pa.field("info_name", pa.uint32(), nullable=False), pa.field("value", pa.dense_union(_UNION), nullable=False)]
    )
    return pa.Table.from_batches([pa.RecordBatch.from_arrays([pa.array(numbers, pa.uint32()), value], schema=schema)])


def type_info(wanted: int | None) -> pa.Table:
    """The types of columns, by their numbers; None: all."""
    rows = [
        {
            "type_name": name,
            "data_type": number,
            "column_size": size,
            "literal_prefix": "'" if name in _QUOTED else None,
            "literal_suffix": "'" if name in _QUOTED else None,
            "nullable": 1,
            "case_sensitive": name == "VARCHAR",
            "searchable": 3,
            "unsigned_attribute": None if radix is None else False,
            "fixed_prec_scale": False,
            "local_type_name": name,
            "sql_data_type": _DATETIME_TYPE if number in _DATETIME else number,
            "datetime_subcode": _DATETIME.get(number),
            "num_prec_radix": radix,
        }
        for name, number, size, radix in _KNOWN
        if wanted in (None, number)
    ]
    return pa.Table.from_pylist(rows, _TYPES)
