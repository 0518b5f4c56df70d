"""An upload: areas of a caller, and how a request that refers to it finds it."""

import secrets
import threading
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.plan.limits import USUAL, Allowance
from rasterflight_server.plan.polygons import Polygons
from rasterflight_server.plan.sharedareas import SharedAreas

#: What an upload counts for before anything is in it.
_EMPTY_BYTES = 16 << 10
#: Given the id of an upload and the field of the request that refers to it, gives the upload.
FindUpload = Callable[[str, str], "Upload"]


class Upload:
    """Areas of one caller, in no particular CRS: the request that refers to them says it."""

    def __init__(self, caller: str, account: str, upload_id: str | None = None) -> None:
        self.id = upload_id or secrets.token_urlsafe(24)
        self.caller = caller
        #: Whose share it counts for; empty: nobody's.
        self.account = account
        #: Number of areas.
        self.areas = 0
        #: What they count for.
        self.nbytes = _EMPTY_BYTES
        self._values: list[pa.Array] = []
        self._polygons: Polygons | None = None
        self._lock = threading.Lock()

    def polygons(self, field: str, allowance: Allowance = USUAL) -> Polygons:
        """The areas, parsed when they are asked for the first time.

        Raises
        ------
        RequestError
            BAD_GEOMETRY and LIMIT_EXCEEDED, as if the areas stood in ``field`` of the request.
        """
        with self._lock:
            if self._polygons is None:
                parts = [values.to_numpy(zero_copy_only=False) for values in self._values]
                self._polygons = Polygons.from_wkb(
                    np.concatenate([np.empty(0, dtype=object), *parts]), field, allowance
                )
                self._values.clear()
            return self._polygons

    def save(self, shared: SharedAreas) -> None:
        """Let other processes find it too; before its areas are asked for."""
        shared.save(self.id, self.caller, self._values)

    def add(self, values: pa.Array, nbytes: int) -> None:
        """Take more areas."""
        self._values.append(values)
        self.areas += len(values)
        self.nbytes += nbytes


def no_uploads(upload_id: str, field: str) -> Upload:  # noqa: ARG001 - a FindUpload
    """Where nothing can go up, nothing is found."""
    raise not_found(field)


def not_found(field: str) -> RequestError:
    """Say that there is no upload: in the same words in all cases, which must not tell whether somebody else has one."""
    return RequestError(
        ErrorCode.UPLOAD_NOT_FOUND,
        "there is no such upload: it was dropped, was not used for too long, or was never made by this caller",
        field=field,
        hint="send the areas again",
    )
