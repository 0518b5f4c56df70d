"""What is divided among the processes of a server, and what they share."""

from dataclasses import dataclass
from pathlib import Path

from rasterflight_server.encode.budget import AHEAD_BYTES, SENDING_BYTES, StreamBudget
from rasterflight_server.plan.sharedareas import SharedAreas
from rasterflight_server.plan.uploads import Limits, Uploads


@dataclass(frozen=True, slots=True)
class Crew:
    """The processes that listen on one port, as one of them sees it."""

    #: How many there are.
    size: int = 1
    #: Where they find each other's uploads.
    folder: Path | None = None

    def stream_budget(self) -> StreamBudget:
        """What the streams of one process may hold."""
        return StreamBudget(SENDING_BYTES // self.size, AHEAD_BYTES // self.size)

    def make_uploads(self, caller_bytes: int | None) -> Uploads:
        """The uploads, as one process finds them; what comes to it is a part of what all may keep.

        Parameters
        ----------
        caller_bytes
            What one caller may keep; None: as much as there is.
        """
        limits = Limits()
        total = limits.total_bytes // self.size
        limits = Limits(
            upload_bytes=min(limits.upload_bytes, total),
            caller_bytes=total if caller_bytes is None else min(caller_bytes, total),
            total_bytes=total,
        )
        shared = None if self.folder is None else SharedAreas(self.folder, limits.seconds)
        return Uploads(limits, shared=shared)
