"""What an answer may say, and what it may not."""

import re
from pathlib import Path
from tempfile import gettempdir

from rasterflight_protocol import ErrorCode
from rasterflight_protocol.v1.error_pb2 import ErrorDetail

CODES = {code.code for code in ErrorCode} - {ErrorCode.INTERNAL.code}
_HOME = Path(__file__).parents[2]
#: Where files of the server lie, and where its code does.
_TELLING = re.compile(
    "|".join(
        [
            r"Traceback|\.py\b|site-packages|0x[0-9a-f]{8}",
            *(re.escape(f"{path}/") for path in (_HOME, Path.home(), gettempdir())),
        ]
    )
)


class Bug(Exception):  # noqa: N818 - it is what was looked for
    """An answer that there should not be."""


def complaint(detail: ErrorDetail, text: str = "") -> str:
    """What is wrong with an error that was told; empty: nothing."""
    if detail.code not in CODES:
        return f"code {detail.code!r}: {detail.message}"
    if not detail.message:
        return "no message"
    if found := telling(f"{detail.message}\n{detail.hint}\n{detail.field}\n{text}"):
        return f"tells {found!r}: {detail.message} {detail.hint} {text}"
    return ""


def telling(text: str) -> str:
    """What in a text is none of the caller's business; empty: nothing."""
    found = _TELLING.search(text)
    return found[0] if found else ""
