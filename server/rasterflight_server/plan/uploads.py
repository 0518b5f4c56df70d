"""Areas that callers sent up before they ask: kept in memory for a while, within limits."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError, ServiceError
from rasterflight_server.plan.sharedareas import SharedAreas
from rasterflight_server.plan.upload import Upload, not_found

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept, and for how long."""

    #: Areas of one upload.
    areas: int = 1_000_000
    #: Bytes of one upload.
    upload_bytes: int = 512 * MIB
    #: Bytes of all uploads of one account.
    caller_bytes: int = 512 * MIB
    #: Bytes of all uploads.
    total_bytes: int = 1024 * MIB
    #: An area counts as its WKB and so many bytes more, which it takes when it is parsed.
    bytes_beside: int = 512
    #: An upload is forgotten so many seconds after it was used last; one that does not go on arriving, too.
    seconds: float = 900.0


class Uploads:
    """All uploads, safe to use from any thread.

    Nobody finds an upload without its id, which cannot be guessed; an upload of a caller who said who he is, nobody else
    finds.

    Parameters
    ----------
    limits
        How much and how long.
    clock
        Seconds that only go forward.
    shared
        Where other processes of the server find them; None: there are no others.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
        shared: SharedAreas | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self._shared = shared
        self._clock = clock
        self._lock = threading.Lock()
        # Also those that are still arriving: they take memory, and may stand still.
        # All are kept for the same time, so those that expire first come first.
        self._expiry: OrderedDict[Upload, float] = OrderedDict()
        self._complete: dict[str, Upload] = {}

    @contextmanager
    def receive(self, caller: str, account: str = "") -> Iterator["Arrival"]:
        """Take an upload in; unless it is kept, nothing is left of it.

        Parameters
        ----------
        caller
            Who sends it; empty: he does not say.
        account
            Whose share it counts for, if that is not the caller's; callers who do not say who they are may have one by their address.
        """
        upload = Upload(caller, account or caller)
        with self._lock:
            self._touch(upload)
        try:
            yield Arrival(self, upload)
        finally:
            with self._lock:
                if upload.id not in self._complete:
                    self._expiry.pop(upload, None)

    def find(self, upload_id: str, caller: str, field: str) -> Upload:
        """Find an upload, which then is kept for longer.

        Raises
        ------
        RequestError
            UPLOAD_NOT_FOUND: never there, no longer there, or somebody else's.
        """
        with self._lock:
            self._forget_expired()
            upload = self._complete.get(upload_id)
            if self._shared is not None:
                upload = self._in_step(upload, upload_id, self._shared)
            if upload is None or upload.caller != caller:
                raise not_found(field)
            if self._shared is not None:
                self._shared.touch(upload_id)
            self._complete[upload_id] = upload
            self._touch(upload)
            return upload

    def drop(self, upload_id: str, caller: str) -> None:
        """Forget an upload now; reads that use it go on.

        Raises
        ------
        RequestError
            As ``find``.
        """
        upload = self.find(upload_id, caller, "upload")
        with self._lock:
            self._forget(upload)
        if self._shared is not None:
            self._shared.drop(upload_id)

    def forget_expired(self) -> None:
        """Free what has not been used for long."""
        with self._lock:
            self._forget_expired()

    def counts(self) -> dict[str, int]:
        """How many uploads there are, and what they count for."""
        with self._lock:
            self._forget_expired()
            return {"uploads": len(self._complete), "upload_bytes": sum(upload.nbytes for upload in self._expiry)}

    def add(self, upload: Upload, values: pa.Array) -> None:
        """Take more areas of an upload; see `Arrival.add`."""
        limits = self.limits
        # Batches have a price too: somebody might send millions of them.
        nbytes = self._price(values)
        with self._lock:
            self._forget_expired()
            if upload not in self._expiry:
                raise ServiceError(
                    ErrorCode.DEADLINE,
                    f"the upload stood still for more than {limits.seconds:g} seconds",
                    hint="send it again",
                )
            if upload.areas + len(values) > limits.areas:
                raise _too_large(f"an upload has more than {limits.areas} areas")
            if upload.nbytes + nbytes > limits.upload_bytes:
                raise _too_large(
                    f"an upload takes more than {limits.upload_bytes} bytes "
                    f"(the WKB of its areas, and {limits.bytes_beside} bytes for each)"
                )
            others = sum(other.nbytes for other in self._expiry if other.account == upload.account)
            if upload.account and others + nbytes > limits.caller_bytes:
                raise RequestError(
                    ErrorCode.LIMIT_EXCEEDED,
                    f"the uploads of this caller together take more than {limits.caller_bytes} bytes (limits.caller.uploads)",
                    field="limits.caller.uploads",
                    hint=f"drop those that are no longer needed (action upload.drop), or wait: "
                    f"they are forgotten {limits.seconds:g} seconds after their last use",
                )
            if sum(other.nbytes for other in self._expiry) + nbytes > limits.total_bytes:
                raise ServiceError(
                    ErrorCode.BUSY,
                    f"the uploads of all callers together take {limits.total_bytes} bytes, which is all that there is",
                    hint=f"try again: uploads are forgotten {limits.seconds:g} seconds after their last use",
                )
            upload.add(values, nbytes)
            self._touch(upload)

    def keep(self, upload: Upload) -> None:
        """From now on the upload can be found."""
        if self._shared is not None:
            upload.save(self._shared)
        with self._lock:
            self._complete[upload.id] = upload
            self._touch(upload)

    def _price(self, values: pa.Array) -> int:
        return int(values.get_total_buffer_size()) + self.limits.bytes_beside * (len(values) + 1)

    def _in_step(self, known: Upload | None, upload_id: str, shared: SharedAreas) -> Upload | None:
        """An upload that came to whichever process, unless one of them has dropped it."""
        if known is not None and shared.has(upload_id):
            return known
        if known is not None:
            self._forget(known)
        found = shared.load(upload_id)
        if found is None:
            return None
        caller, parts = found
        upload = Upload(caller, caller, upload_id)
        for values in parts:
            upload.add(values, self._price(values))
        return upload

    def _touch(self, upload: Upload) -> None:
        self._expiry[upload] = self._clock() + self.limits.seconds
        self._expiry.move_to_end(upload)

    def _forget_expired(self) -> None:
        if self._shared is not None:
            self._shared.forget_expired()
        now = self._clock()
        while self._expiry:
            upload, expiry = next(iter(self._expiry.items()))
            if expiry > now:
                return
            self._forget(upload)

    def _forget(self, upload: Upload) -> None:
        self._expiry.pop(upload, None)
        self._complete.pop(upload.id, None)


class Arrival:
    """An upload that is coming in."""

    def __init__(self, uploads: Uploads, upload: Upload) -> None:
        self._uploads = uploads
        self._upload = upload

    @property
    def areas(self) -> int:
        """How many have come."""
        return self._upload.areas

    def add(self, values: pa.Array) -> None:
        """Take more areas.

        Parameters
        ----------
        values
            WKB, binary or large_binary, without nulls.

        Raises
        ------
        RequestError
            BAD_GEOMETRY: one is null. LIMIT_EXCEEDED: the upload is too large, or the caller has too many.
        ServiceError
            BUSY: all callers together have too many. DEADLINE: nothing came for too long.
        """
        if not len(values):
            return
        if values.null_count:
            number = self._upload.areas + int(np.argmax(values.is_null().to_numpy(zero_copy_only=False))) + 1
            raise RequestError(
                ErrorCode.BAD_GEOMETRY,
                f"geometry {number} is missing",
                field="geometry",
                hint="drop missing geometries first",
            )
        self._uploads.add(self._upload, values)

    def keep(self) -> Upload:
        """The upload is complete: keep it.

        Raises
        ------
        RequestError
            BAD_REQUEST: there is nothing in it.
        """
        if not self._upload.areas:
            raise RequestError(
                ErrorCode.BAD_REQUEST, "there is no geometry in the upload", field="geometry", hint="send at least one"
            )
        self._uploads.keep(self._upload)
        return self._upload


def _too_large(what: str) -> RequestError:
    return RequestError(
        ErrorCode.LIMIT_EXCEEDED, what, hint="send them in several uploads, and read in several requests"
    )
