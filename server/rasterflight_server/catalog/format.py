"""How an index lies on disk; the one place that both writing and reading it look at.

::

    DIR/manifest.json               what the index is, and which snapshot is the current one; replaced last
    DIR/collection.toml             what people say of it; stays through rebuilds, see ``catalog.configuration``
    DIR/<snapshot>/records.parquet  GeoParquet, a row per record; its position is the record's number
                   assets.arrow     a row per (record, slot): record number * slots + slot
                   tiles.arrow      a row per (asset, level): where the tiles lie in the file
                   profiles.json    what files have in common: levels, codec, nodata ...
                   origins.arrow    a row per record: where it came from; only updates look at it
"""

from typing import Final

import pyarrow as pa

FORMAT: Final = "rasterflight-index"
#: Version that is written; readers refuse newer ones.
FORMAT_VERSION: Final = 2

MANIFEST: Final = "manifest.json"
RECORDS: Final = "records.parquet"
ASSETS: Final = "assets.arrow"
TILES: Final = "tiles.arrow"
PROFILES: Final = "profiles.json"
ORIGINS: Final = "origins.arrow"

#: Rows of a record batch, so that a row is found by division.
ASSETS_BATCH: Final = 65_536
TILES_BATCH: Final = 4_096

#: ``profile`` or ``crs`` of an asset that does not exist, or has no CRS.
NONE: Final = -1

ASSETS_SCHEMA: Final = pa.schema(
    [
        # Relative to the folder that the index lies in, so that files and index can move together; else absolute, or a URL.
        pa.field("href", pa.large_utf8()),
        # Null: not known, as for files that were never opened.
        pa.field("size", pa.int64()),
        pa.field("mtime_ns", pa.int64()),
        pa.field("etag", pa.utf8()),
        # Position in profiles.json; NONE: the record has no such asset.
        pa.field("profile", pa.int32(), nullable=False),
        # Position in the manifest's list.
        pa.field("crs", pa.int32()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        *(pa.field(f"transform_{name}", pa.float64()) for name in "abcdef"),
        # Row of the full resolution in tiles.arrow; overviews follow, then masks.
        pa.field("first_tiles_row", pa.int64()),
        # What the file says in words, as JSON. Not part of the profile: it may be another in each file.
        pa.field("tags", pa.large_utf8()),
    ]
)

TILES_SCHEMA: Final = pa.schema(
    [
        pa.field("first_offset", pa.int64(), nullable=False),
        # Bytes between the end of a tile and the start of the next, where this is the same for all tiles.
        pa.field("gap", pa.int64()),
        pa.field("counts", pa.large_list(pa.field("item", pa.uint32(), nullable=False)), nullable=False),
        # Where there is no common gap.
        pa.field("offsets", pa.large_list(pa.field("item", pa.int64(), nullable=False))),
    ]
)

ORIGINS_SCHEMA: Final = pa.schema(
    [
        # Position in the manifest's list of sources.
        pa.field("source", pa.int16(), nullable=False),
        # What the source said about the record, and about its files, as hashes.
        pa.field("record_print", pa.uint64(), nullable=False),
        pa.field("assets_print", pa.uint64(), nullable=False),
    ]
)
