"""The access log: a line of JSON for each call."""

import json
import logging
import sys
from collections.abc import Mapping
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any, Final

from rasterflight_server.errors import ConfigError

#: Writes to standard error.
STANDARD_ERROR: Final = Path("-")


class AccessLog:
    """Writes lines as calls end.

    Each is written at once and at the end of the file, so that processes can share it; a file that
    was moved away is made anew.

    Parameters
    ----------
    path
        The file; ``-``: standard error.

    Raises
    ------
    ConfigError
        The file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._handler: logging.Handler = (
                logging.StreamHandler(sys.stderr)
                if path == STANDARD_ERROR
                else WatchedFileHandler(path, encoding="utf-8")
            )
        except OSError as error:
            raise ConfigError(
                f"the access log {str(path)!r} cannot be written: {error.strerror}",
                field="observe.access_log",
                hint="give a file in a folder that exists and that the server may write to, or - for standard error",
            ) from None

    def write(self, told: Mapping[str, Any]) -> None:
        """Write a line."""
        line = json.dumps(told, separators=(",", ":"))
        self._handler.handle(logging.LogRecord("access", logging.INFO, "", 0, line, None, None))

    def close(self) -> None:
        """Close the file."""
        self._handler.close()
