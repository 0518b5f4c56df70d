import gc
import os
import signal
import threading
import time

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from rasterflight import errors
from rasterflight_protocol import BandField, chips_schema
from support.fake_server import batch, collection, failure, pixels, row

RED = chips_schema([BandField("red", "uint16", "0")])
SKIPPING = chips_schema([BandField("red", "uint16", "0")], with_error=True)
ONE = batch(RED, row("a", red=pixels(2, 3)))
TWO = batch(RED, row("b", red=pixels(2, 3, 7)), row("c", red=pixels(1, 2)))


@pytest.fixture
def read():
    """Start reading a stream, in a server that lives as long as the test."""
    open_now = []

    def start(*stream, schema=RED, total=None, **keywords):
        context = collection(schema, *stream, total=total)
        toy, answers = context.__enter__()
        open_now.append(context)
        return toy.read(bands=["red"], **keywords), answers

    yield start
    for context in open_now:
        context.__exit__(None, None, None)


def test_batches_come_as_they_were_sent(read):
    stream, answers = read(ONE, TWO)
    assert stream.schema == RED
    assert [got.equals(sent) for got, sent in zip(stream, [ONE, TWO], strict=True)] == [True, True]
    assert list(stream) == []
    assert len(answers.requests) == 1  # one do_get, and no get_flight_info before it


def test_buffers_are_aligned(read):
    stream, _ = read(ONE, TWO)
    for got in stream:
        assert got.column("red").values.to_numpy().flags.aligned
        assert got.column("red").values.buffers()[1].address % 64 == 0


def test_read_all(read):
    stream, _ = read(ONE, TWO)
    assert stream.read_all() == pa.Table.from_batches([ONE, TWO])


def test_an_empty_stream_is_an_empty_table(read):
    stream, _ = read()
    assert stream.read_all() == RED.empty_table()


def test_others_read_it_as_an_arrow_stream(read):
    assert read(ONE, TWO)[0].to_reader().read_all().num_rows == 3
    assert pa.RecordBatchReader.from_stream(read(ONE, TWO)[0]).read_all().num_rows == 3
    assert pl.DataFrame(read(ONE, TWO)[0].read_all().select(["record_id"])).height == 3
    relation = duckdb.from_arrow(read(ONE, TWO)[0].to_reader())
    assert relation.project("list_sum(red)").fetchall() == [(21,), (57,), (3,)]


def test_an_error_before_the_first_row_comes_from_read(read):
    with pytest.raises(errors.UnknownBandError, match="no band 'red'"):
        read_failing(read)


def read_failing(read):
    with collection(RED) as (toy, answers):
        answers.error = failure("UNKNOWN_BAND", "no band 'red'")
        toy.read(bands=["red"])


MID = ("SOURCE_CORRUPT", "tile 7 is cut off")


def test_an_error_on_the_way_keeps_its_story(read):
    stream, _ = read(ONE, failure(*MID, record="b", asset="B04", hint="index it again"))
    assert next(stream).equals(ONE)
    with pytest.raises(errors.SourceCorruptError, match=r"^b/B04: tile 7 is cut off \(index it again\)$") as caught:
        next(stream)
    assert isinstance(caught.value, OSError)
    assert list(stream) == []


@pytest.mark.parametrize(
    "consume",
    [
        lambda stream: stream.read_all(),
        lambda stream: stream.to_reader().read_all(),
        lambda stream: list(stream.chips()),
    ],
)
def test_an_error_on_the_way_reaches_every_consumer(read, consume):
    stream, _ = read(ONE, failure(*MID))
    with pytest.raises(errors.SourceCorruptError, match="tile 7"):
        consume(stream)


def test_an_error_reaches_the_c_stream_as_words(read):
    stream, _ = read(ONE, failure(*MID))
    with pytest.raises(Exception, match="tile 7 is cut off"):  # the class is the consumer's
        pa.RecordBatchReader.from_stream(stream).read_all()


def test_close_ends_the_stream_on_the_server(read):
    hold = threading.Event()
    stream, answers = read(ONE, hold, ONE)
    assert next(stream).equals(ONE)
    stream.cancel()
    hold.set()
    assert answers.ended.wait(10)
    assert list(stream) == []
    stream.close()


def test_a_stream_left_early_ends_on_the_server(read):
    big = batch(RED, row("a", red=np.zeros((1000, 1000), "uint16")))
    stream, answers = read(*[big] * 50)
    with stream:
        next(stream)
    assert answers.ended.wait(10)


def test_a_dropped_stream_ends_on_the_server(read):
    big = batch(RED, row("a", red=np.zeros((1000, 1000), "uint16")))
    stream, answers = read(*[big] * 50)
    next(stream)
    del stream
    gc.collect()
    assert answers.ended.wait(10)
    assert not [thread for thread in threading.enumerate() if thread.name == "rasterflight-read"]


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_is_heard_while_the_server_is_silent(read):
    hold = threading.Event()
    stream, answers = read(ONE, hold, ONE)
    next(stream)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        next(stream)
    assert time.monotonic() - started < 5
    hold.set()
    assert answers.ended.wait(10)
    timer.join()


def test_a_read_has_its_own_timeout(read):
    hold = threading.Event()
    stream, _ = read(ONE, hold, timeout=0.5)
    with pytest.raises(TimeoutError, match="within the timeout"):
        stream.read_all()
    hold.set()


def test_only_chips_are_chips():
    records = pa.schema([pa.field("id", pa.utf8())])
    with collection(records) as (toy, _), pytest.raises(TypeError, match="layout='chips'"):
        toy.read(layout="records").chips()


def test_skipped_records_are_told_once_and_kept(read):
    bad = batch(
        SKIPPING, row("b", error="B04: tile 7 is cut off"), row("b", geometry_id=2, error="B04: tile 7 is cut off")
    )
    good = batch(SKIPPING, row("a", red=pixels(2, 2)))
    stream, _ = read(good, bad, schema=SKIPPING, on_error="skip")
    with pytest.warns(RuntimeWarning, match="records are missing from the result: b: B04: tile 7 is cut off$") as seen:
        assert stream.read_all().num_rows == 3
    assert len(seen) == 1
    assert seen[0].filename == __file__ or "_stream" in seen[0].filename
    assert [(one.record_id, one.reason) for one in stream.errors] == [("b", "B04: tile 7 is cut off")]


def test_progress_shows_bytes(read, monkeypatch, capsys):
    monkeypatch.setattr("rasterflight._progress._DELAY_SECONDS", 0)
    stream, _ = read(ONE, TWO, total=28, progress=True)
    list(stream)
    assert stream.bytes_total == 28
    assert "toy: 100%" in capsys.readouterr().err


def test_without_progress_nothing_is_shown(read, capsys):
    list(read(ONE, total=28)[0])
    assert capsys.readouterr().err == ""


def test_the_stream_outlives_the_names_of_client_and_collection(read):
    stream, _ = read(ONE)
    gc.collect()
    assert stream.read_all().num_rows == 1
