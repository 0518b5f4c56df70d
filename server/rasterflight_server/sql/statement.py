"""A statement that was compiled, and the rows that come of it when an engine runs it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import pyarrow as pa

from rasterflight_server.sql import wire
from rasterflight_server.sql.engine import Engine, Patience
from rasterflight_server.sql.sources import Source


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that can be run."""

    #: As DuckDB takes it back, with sources for tables.
    tree: bytes
    #: Values by name, an array of one each, of the parameters that are left.
    values: Mapping[str, pa.Array]
    sources: Mapping[str, Source]

    def schema(self, engine: Engine, patience: Patience) -> pa.Schema:
        """Schema of the result."""
        parts, facts = self._told(with_facts=False)
        _, payload = engine.ask(patience, "describe", b"".join(parts), sizes=list(map(len, parts)), **facts)
        return pa.ipc.read_schema(payload)

    def run(self, engine: Engine, schema: pa.Schema, patience: Patience) -> Iterator[pa.RecordBatch]:
        """Run it; closing the iterator ends all that it has begun."""
        parts, facts = self._told(with_facts=True)
        engine.tell("run", b"".join(parts), sizes=list(map(len, parts)), **facts)
        with _Scans(self.sources, engine, patience) as scans:
            while True:
                told, payload = engine.receive(patience)
                match told.pop("what"):
                    case "batch":
                        batch = pa.ipc.read_record_batch(payload, schema)
                        with patience.paused():
                            yield batch
                        del batch
                    case "scan":
                        scans.begin(**told)
                    case "next":
                        scans.go_on(**told)
                    case _:
                        return

    def _told(self, *, with_facts: bool) -> tuple[list[bytes], dict[str, Any]]:
        parts = [self.tree, wire.pack_row(self.values).to_pybytes()]
        for source in self.sources.values():
            parts.append(source.schema.serialize().to_pybytes())
            facts = source.facts if with_facts else None
            parts.append(b"" if facts is None else wire.pack_batch(facts).to_pybytes())
        return parts, {"sources": list(self.sources)}


class _Scans:
    """Scans of sources that an engine has begun."""

    def __init__(self, sources: Mapping[str, Source], engine: Engine, patience: Patience) -> None:
        self._sources = sources
        self._engine = engine
        self._patience = patience
        self._running: dict[int, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for batches in self._running.values():
            batches.close()

    def begin(self, scan: int, source: str, columns: Sequence[str], records: Sequence[int] | None) -> None:
        """Answer with the schema of what will come."""
        found = self._sources[source]
        self._running[scan] = found.batches(columns, records, self._patience.check)
        schema = pa.schema([found.schema.field(name) for name in columns])
        self._engine.tell("schema", schema.serialize())

    def go_on(self, scan: int) -> None:
        """Answer with the next batch, or the end."""
        batch = next(self._running[scan], None)
        if batch is None:
            self._engine.tell("end")
        else:
            self._engine.tell("rows", batch.serialize())
