"""Areas that went up to one process of a server, for the others to find: files in a folder that is theirs alone."""

import hashlib
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

_CALLER = b"caller"


@dataclass(frozen=True, slots=True)
class SharedAreas:
    """A folder of uploads. Each is a file, named by a hash of its id; its time is that of its last use.

    Parameters
    ----------
    folder
        Nobody else can look into it.
    seconds
        A file is forgotten so long after its last use.
    """

    folder: Path
    seconds: float

    def save(self, upload_id: str, caller: str, values: Sequence[pa.Array]) -> None:
        """Put areas there, all at once."""
        path = self._path(upload_id)
        part = path.with_suffix(".part")
        schema = pa.schema([pa.field("geometry", values[0].type)], metadata={_CALLER: caller})
        with pa.OSFile(str(part), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
            for array in values:
                writer.write_batch(pa.record_batch([array.cast(values[0].type)], schema=schema))
        part.replace(path)

    def load(self, upload_id: str) -> tuple[str, list[pa.Array]] | None:
        """The caller and the areas; None: there are none of this id."""
        with suppress(FileNotFoundError), pa.OSFile(str(self._path(upload_id))) as file:
            reader = pa.ipc.open_stream(file)
            return reader.schema.metadata[_CALLER].decode(), [batch.column(0) for batch in reader]
        return None

    def has(self, upload_id: str) -> bool:
        """Whether areas are there."""
        return self._path(upload_id).exists()

    def touch(self, upload_id: str) -> None:
        """Keep areas for longer."""
        with suppress(FileNotFoundError):
            os.utime(self._path(upload_id))

    def drop(self, upload_id: str) -> None:
        """Forget areas."""
        self._path(upload_id).unlink(missing_ok=True)

    def forget_expired(self) -> None:
        """Forget what none of the processes has used for long."""
        with suppress(FileNotFoundError):
            for path in self.folder.iterdir():
                with suppress(FileNotFoundError):
                    if time.time() - path.stat().st_mtime > self.seconds:
                        path.unlink()

    def _path(self, upload_id: str) -> Path:
        return self.folder / hashlib.sha256(upload_id.encode()).hexdigest()
