"""Record batches that callers send: nothing in them is believed before it was checked."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import pyarrow as pa
import pyarrow.flight as fl

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError

_MAX_HINT = 300


def arriving(
    reader: fl.MetadataRecordBatchReader,
    field: str,
    waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Iterator[pa.RecordBatch]:
    """Batch after batch, as they come.

    Parameters
    ----------
    field
        What they hold, for errors.
    waiting
        Made and entered whenever the next batch is waited for.

    Raises
    ------
    RequestError
        BAD_REQUEST: what comes is no stream of Arrow.
    """
    while True:
        with readable(field):
            try:
                with waiting():
                    batch = reader.read_chunk().data
            except StopIteration:
                return
            if batch is None:
                continue
            # Offsets and lengths may lead anywhere.
            batch.validate(full=True)
        yield batch


@contextmanager
def readable(field: str) -> Iterator[None]:
    """What goes wrong inside is the fault of what was sent; raises as ``arriving``."""
    try:
        yield
    except fl.FlightError:
        raise  # the connection broke, or the caller gave up
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise RequestError(
            ErrorCode.BAD_REQUEST,
            "the stream cannot be read as Arrow",
            field=field,
            hint=(str(error).splitlines() or [""])[0][:_MAX_HINT],
        ) from None
