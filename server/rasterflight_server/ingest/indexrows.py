"""The rows of an index, with the files of each, in the order in which they lie on disk."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from rasterflight_server.catalog.assets import AssetsFile, from_folder
from rasterflight_server.catalog.format import PROFILES, RECORDS
from rasterflight_server.catalog.manifest import Manifest
from rasterflight_server.catalog.profiles import load_profiles
from rasterflight_server.errors import BadIndexError
from rasterflight_server.types import Asset, Profile

_BATCH_ROWS: Final = 2_000


class SlotAsset(NamedTuple):
    """A file of a record, and the number of its slot."""

    slot: int
    asset: Asset


class IndexRows:
    """A snapshot of an index, to be gone through once: what the index says, whatever its configuration says of the bands.

    Parameters
    ----------
    directory
        Directory of the index.

    Raises
    ------
    BadIndexError
        It is not an index, is damaged, or is too new.
    """

    def __init__(self, directory: Path) -> None:
        directory = directory.resolve()
        self.manifest = Manifest.read(directory)
        snapshot = directory / self.manifest.snapshot
        self._assets = AssetsFile(snapshot, self.manifest, partial(from_folder, directory.parent), {})
        #: What its files have in common.
        self.profiles: list[Profile] = load_profiles((snapshot / PROFILES).read_bytes())
        try:
            self._records = pq.ParquetFile(snapshot / RECORDS)
        except (OSError, pa.ArrowInvalid):
            raise BadIndexError(f"{RECORDS} of the index is missing or damaged", hint="build the index again") from None

    @property
    def schema(self) -> pa.Schema:
        """Columns of the records, with the metadata of GeoParquet."""
        return self._records.schema_arrow

    def batches(self) -> Iterator[tuple[pa.RecordBatch, list[list[SlotAsset]]]]:
        """Records in batches, and the files of each record."""
        row, slots = 0, range(len(self.manifest.slots))
        for batch in self._records.iter_batches(_BATCH_ROWS):
            files = [
                [SlotAsset(slot, asset) for slot in slots if (asset := self._assets.get(number, slot)) is not None]
                for number in range(row, row + batch.num_rows)
            ]
            row += batch.num_rows
            yield batch, files
