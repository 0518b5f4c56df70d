"""From BitsPerSample and SampleFormat to the type of the pixels, as GDAL chooses it."""

from typing import Final

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError
from rasterflight_server.ingest.ifd import Directory, corrupt

_BITS, _SAMPLE_FORMAT = 258, 339
_UNSIGNED, _SIGNED, _FLOAT, _VOID, _COMPLEX_INTEGER, _COMPLEX = range(1, 7)
_SPLIT_IT: Final = "`gdal_translate -ot Float64 IN OUT` makes a copy that can be read"

# (SampleFormat, bits) -> type of the pixels, and how they are stored where that differs.
_TYPES: Final[dict[tuple[int, int], tuple[str, str | None]]] = {
    **{(_SIGNED, bits): (f"int{bits}", None) for bits in (8, 16, 32, 64)},
    (_FLOAT, 16): ("float32", "float16"),
    (_FLOAT, 24): ("float32", "float24"),
    (_FLOAT, 32): ("float32", None),
    (_FLOAT, 64): ("float64", None),
    (_COMPLEX_INTEGER, 32): ("complex64", "complex_int16"),
    (_COMPLEX_INTEGER, 64): ("complex64", "complex_int32"),
    (_COMPLEX, 64): ("complex64", None),
    (_COMPLEX, 128): ("complex128", None),
}


def sample_type(page: Directory, samples: int) -> tuple[str, str | None]:
    """Type of the pixels of a directory.

    Returns
    -------
    tuple
        NumPy name of the type that they are given as, and the name of the stored type where that is another, as in
        ``Level.stored``. Odd numbers of bits are unsigned, whatever the file says: so GDAL reads them.

    Raises
    ------
    SourceError
        UNSUPPORTED_LAYOUT: of no type that GDAL reads; SOURCE_CORRUPT: of none that there is.
    """
    bits = _common(page, _BITS, samples, 1)
    kind = _common(page, _SAMPLE_FORMAT, samples, _UNSIGNED)
    if not _UNSIGNED <= kind <= _COMPLEX:
        raise corrupt(f"the pixels claim to have the unknown sample format {kind}")
    if (kind, bits) in _TYPES:
        return _TYPES[kind, bits]
    if kind != _FLOAT:
        if bits in (8, 16, 32, 64) and not (kind == _COMPLEX_INTEGER and bits > 16):  # noqa: PLR2004
            return f"uint{bits}", None
        if (kind in (_UNSIGNED, _SIGNED) and 0 < bits < 32) or (bits, samples) == (1, 1):  # noqa: PLR2004
            return f"uint{8 if bits < 8 else 16 if bits < 16 else 32}", f"uint{bits}"  # noqa: PLR2004
    raise SourceError(
        ErrorCode.UNSUPPORTED_LAYOUT, f"the pixels have {bits} bits (sample format {kind})", hint=_SPLIT_IT
    )


def _common(page: Directory, tag: int, samples: int, default: int) -> int:
    values = set(page.array(tag)[:samples].tolist()) or {default}
    if len(values) > 1:
        raise SourceError(
            ErrorCode.UNSUPPORTED_LAYOUT,
            "the samples of the file differ in type",
            hint="`gdal_translate -b` makes a copy with some of the bands",
        )
    return int(values.pop())
