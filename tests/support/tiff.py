"""TIFF files made by hand, byte for byte, for what no library would write."""

import struct
from collections.abc import Sequence

SHORT, LONG, DOUBLE, ASCII, LONG8 = 3, 4, 12, 2, 16
_FORMATS = {SHORT: "H", LONG: "I", DOUBLE: "d", ASCII: "B", LONG8: "Q", 1: "B", 0: "I"}
Tags = dict[int, tuple[int, Sequence[int] | Sequence[float] | bytes]]


def tags(**changes) -> Tags:
    """Tags of a 32 x 32 uint8 image with four uncompressed 16 x 16 tiles; ``t256=(LONG, [5])`` changes one, None drops it."""
    usual: Tags = {
        256: (LONG, [32]),
        257: (LONG, [32]),
        258: (SHORT, [8]),
        259: (SHORT, [1]),
        262: (SHORT, [1]),
        277: (SHORT, [1]),
        322: (SHORT, [16]),
        323: (SHORT, [16]),
        324: (LONG, [1000, 1256, 1512, 1768]),
        325: (LONG, [256] * 4),
        339: (SHORT, [1]),
    }
    for name, value in changes.items():
        if value is None:
            usual.pop(int(name[1:]), None)
        else:
            usual[int(name[1:])] = value
    return usual


def tiff(*directories: Tags, order: str = "<", big: bool = False, size: int = 4096, next_of_last: int = 0) -> bytes:
    """Build a file with these directories, padded with zeros to ``size`` bytes; tile data starts at byte 1000."""
    pointer, count, entry, header = ("Q", "Q", 20, 16) if big else ("I", "H", 12, 8)
    width = struct.calcsize(pointer)
    places, position = [], header
    for directory in directories:
        places.append(position)
        position += struct.calcsize(order + count) + entry * len(directory) + width
    extra, out = position if position < 1000 else 3000, bytearray(size)
    mark = b"II" if order == "<" else b"MM"
    head = struct.pack(order + "HHHQ", 43, 8, 0, places[0]) if big else struct.pack(order + "HI", 42, places[0])
    out[: 2 + len(head)] = mark + head
    for place, directory, following in zip(places, directories, [*places[1:], next_of_last], strict=True):
        at = place + struct.calcsize(order + count)
        struct.pack_into(order + count, out, place, len(directory))
        for tag, (kind, values) in sorted(directory.items()):
            raw = struct.pack(f"{order}{len(values)}{_FORMATS[kind]}", *values)
            struct.pack_into(f"{order}HH{pointer}", out, at, tag, kind, len(values))
            if len(raw) <= width:
                out[at + 4 + width : at + 4 + width + len(raw)] = raw
            else:
                struct.pack_into(order + pointer, out, at + 4 + width, extra)
                out[extra : extra + len(raw)] = raw
                extra += len(raw)
            at += entry
        struct.pack_into(order + pointer, out, at, following)
    return bytes(out)
