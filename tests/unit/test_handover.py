"""Batches by shared memory: what is no memory of the caller is left alone, and what waits is bounded."""

import errno
import fcntl
import gc
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from rasterflight import _handover
from rasterflight._handover import Memory
from rasterflight.errors import ProtocolError
from rasterflight_protocol import ErrorCode
from rasterflight_protocol.handover import MEMORY_BYTES, SLOT_BYTES, SLOTS, memory_name, slot_begin
from rasterflight_protocol.v1.plan_pb2 import Handover as Where
from rasterflight_protocol.v1.plan_pb2 import Progress
from rasterflight_server.errors import ServiceError
from rasterflight_server.flight.handover import LEAST_BYTES, Handover
from rasterflight_server.flight.running import Terms

UNIX = "unix:/tmp/s"
NONCE = "0123456789abcdef" * 2


def rows(value: int = 0, count: int = 1 << 17) -> pa.RecordBatch:
    lists = pa.array([np.full(count, value, np.uint16), None, np.arange(7, dtype=np.uint16)], pa.list_(pa.uint16()))
    return pa.record_batch({"id": ["a", "b", None], "red": lists}).replace_schema_metadata({"k": "v" * 5000})


def forever() -> Terms:
    return Terms(lambda: False, None)


@pytest.fixture
def memory() -> Memory:
    made = Memory.make("grpc+unix:///s")
    assert made is not None
    return made


def offer_of(memory: Memory) -> str:
    return memory.header[1].decode()


def given(offer: str, peer: str = UNIX) -> bool:
    """Whether a batch goes by memory; if not, nothing of it does."""
    progress, batch = Progress(), rows()
    with Handover(offer, peer) as handover:
        sent = handover.give(batch, progress, forever())
    if progress.HasField("handover"):
        assert len(sent) == 0
        return True
    assert sent is batch
    return False


def open_files() -> int:
    """Files of this process that are memory: others are opened and closed by what earlier tests have left."""
    found = 0
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            found += str(link.readlink()).startswith("/memfd:")
    return found


def made(name: str = memory_name(NONCE), *, size: int = MEMORY_BYTES, seals: int = fcntl.F_SEAL_SHRINK) -> int:
    file = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(file, size)
    fcntl.fcntl(file, fcntl.F_ADD_SEALS, seals)
    return file


@pytest.fixture
def descriptor() -> Iterator[list[int]]:
    """Closed after the test."""
    files: list[int] = []
    yield files
    for file in files:
        os.close(file)


@pytest.mark.parametrize("lent", [False, True])
def test_batches_come_as_they_were_given(memory: Memory, lent: bool) -> None:
    with Handover(offer_of(memory), UNIX) as handover:
        for value in range(3 * SLOTS):
            progress, batch = Progress(bytes_done=5), rows(value)
            assert handover.give(batch, progress, forever()).schema.equals(batch.schema, check_metadata=True)
            taken = memory.take(progress.handover, lent=lent)
            taken.validate(full=True)
            assert taken.equals(batch, check_metadata=True)
            assert (progress.handover.slot, progress.bytes_done) == (0, 5)  # always the same pages
            del taken


@pytest.mark.parametrize("lent", [False, True])
def test_batches_that_are_kept_do_not_stop_the_stream_and_do_not_change(memory: Memory, lent: bool) -> None:
    with Handover(offer_of(memory), UNIX) as handover:
        kept = []
        for value in range(5 * SLOTS):
            progress = Progress()
            handover.give(rows(value), progress, Terms(lambda: False, 5))
            kept.append(memory.take(progress.handover, lent=lent))
    del memory, handover
    gc.collect()
    assert [batch.equals(rows(value), check_metadata=True) for value, batch in enumerate(kept)] == [True] * 5 * SLOTS


def test_no_more_waits_than_there_are_slots(memory: Memory) -> None:
    """And who waits is told when the caller has gone, or did not read for too long."""
    terms = forever()
    with Handover(offer_of(memory), UNIX) as handover:
        waiting = [Progress() for _ in range(SLOTS)]
        for progress in waiting:
            handover.give(rows(), progress, terms)
        assert sorted(progress.handover.slot for progress in waiting) == list(range(SLOTS))
        assert terms.idle_since is None
        late = Progress()
        giving = threading.Thread(target=handover.give, args=(rows(9), late, terms))
        giving.start()
        time.sleep(0.1)
        assert giving.is_alive()
        assert terms.idle_since is not None  # so that it counts as a stream that nobody reads
        assert not late.HasField("handover")
        memory.take(waiting[2].handover, lent=True)
        giving.join(5)
        assert late.handover.slot == 2
        assert memory.take(late.handover, lent=True).equals(rows(9))
        handover.give(rows(), Progress(), terms)
        terms.ended = ServiceError(ErrorCode.DEADLINE, "nothing was read")
        with pytest.raises(ServiceError, match="nothing was read"):
            handover.give(rows(), Progress(), terms)


def test_large_schemas_and_columns_that_need_more_than_the_batch(memory: Memory) -> None:
    wide = rows().replace_schema_metadata({"k": "v" * (3 << 20)})
    words = pa.array([f"word {number}" for number in range(50_000)])
    coded = pa.record_batch({"code": words.dictionary_encode()})
    for batch in (wide, coded):
        with Handover(offer_of(memory), UNIX) as handover:
            progress = Progress()
            sent = handover.give(batch, progress, forever())
            taken = memory.take(progress.handover, lent=True) if progress.HasField("handover") else sent
            assert taken.equals(batch, check_metadata=True)


def test_small_and_huge_batches_go_over_the_socket(memory: Memory) -> None:
    with Handover(offer_of(memory), UNIX) as handover:
        for batch in (rows(count=LEAST_BYTES // 4), rows(count=SLOT_BYTES // 2)):
            progress = Progress()
            assert handover.give(batch, progress, forever()) is batch
            assert not progress.HasField("handover")


@pytest.mark.parametrize("peer", ["ipv4:127.0.0.1:4711", "ipv6:[::1]:1", "unix-abstract:rasterflight/192.0.2.1/0", ""])
def test_callers_by_network_get_bytes(memory: Memory, peer: str) -> None:
    assert given(offer_of(memory))
    assert not given(offer_of(memory), peer)


@pytest.mark.parametrize(
    "offer",
    [
        "",
        "/",
        "1/2",
        f"self/3/{NONCE}",
        f"../../tmp/x/3/{NONCE}",
        f"-1/3/{NONCE}",
        f"0/3/{NONCE}",
        f"4194305/3/{NONCE}",
        f"1/999999999/{NONCE}",
        f"1/3/{NONCE}\n",
        f"1/3/{NONCE.upper()}",
        f"\u0661/3/{NONCE}",
        f"1/3/{'../' * 10}etc",
        "9" * 100_000,
    ],
)
def test_hostile_offers_get_bytes(offer: str) -> None:
    assert not given(offer)


def test_memory_must_be_what_it_is_said_to_be(descriptor: list[int], tmp_path: Path) -> None:
    files = {
        "right": made(),
        "another name": made("rasterflight-" + "f" * 32),
        "too small": made(size=MEMORY_BYTES - 4096),
        "may shrink": made(seals=fcntl.F_SEAL_GROW),
        "a file": os.open(tmp_path / f"memfd:{memory_name(NONCE)} (deleted)", os.O_RDWR | os.O_CREAT),
        "a pipe": os.pipe()[0],
    }
    descriptor.extend(files.values())
    taken = {what: given(f"{os.getpid()}/{file}/{NONCE}") for what, file in files.items()}
    assert taken == {what: what == "right" for what in files}


def test_files_are_not_opened_to_be_looked_at(descriptor: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    other = made("something-else")
    descriptor.append(other)
    monkeypatch.setattr(os, "open", lambda *_: pytest.fail("it was opened"))
    assert not given(f"{os.getpid()}/{other}/{NONCE}")


def test_memory_of_another_user_is_left_alone(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert not given(offer_of(memory))


def test_what_cannot_be_had_goes_over_the_socket(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    assert not given(offer_of(memory))


def test_nothing_stays_open(memory: Memory) -> None:
    before = open_files()
    assert given(offer_of(memory))
    assert open_files() == before


def test_without_such_memory_none_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Memory.make("grpc://127.0.0.1:8815") is None
    assert Memory.make("grpc+tls://host:8815") is None

    def none(*_: int) -> None:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    before = open_files()
    monkeypatch.setattr(_handover.mmap, "mmap", none)
    assert Memory.make("grpc+unix:///s") is None
    assert open_files() == before
    monkeypatch.delattr(os, "memfd_create")
    assert Memory.make("grpc+unix:///s") is None


@pytest.mark.parametrize("where", [(-1, 5), (SLOTS, 5), (0, 0), (0, SLOT_BYTES + 1)])
def test_a_server_cannot_lead_beyond_the_memory(memory: Memory, where: tuple[int, int]) -> None:
    with pytest.raises(ProtocolError, match="where it has no memory"):
        memory.take(Where(slot=where[0], length=where[1]), lent=True)


def test_slots_lie_in_the_memory_one_after_the_other() -> None:
    assert [slot_begin(slot + 1) - slot_begin(slot) for slot in range(SLOTS)] == [SLOT_BYTES] * SLOTS
    assert slot_begin(SLOTS) == MEMORY_BYTES
    assert slot_begin(0) >= SLOTS
