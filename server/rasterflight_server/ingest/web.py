"""HTTP as catalogs need it: plain requests for documents, tried again while a server is busy."""

from collections.abc import Mapping
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError

#: Seconds to connect, and between two parts of an answer.
TIMEOUT: Final = (10.0, 60.0)
_TRIES: Final = 5
_BACKOFF: Final = 0.2
_LONGEST_WAIT: Final = 60
_BUSY: Final = (429, 500, 502, 503, 504)
_CONNECTIONS: Final = 32
_GONE: Final = (404, 410)
_REFUSED: Final = (401, 403)


def new_session() -> requests.Session:
    """Return a session whose requests, searches by POST among them, are sent again when the server asks for it or fails."""
    retry = Retry(
        total=_TRIES,
        status_forcelist=_BUSY,
        allowed_methods=None,
        backoff_factor=_BACKOFF,
        backoff_max=_LONGEST_WAIT,
        retry_after_max=_LONGEST_WAIT,
        raise_on_status=False,
    )
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=_CONNECTIONS, max_retries=retry))
    return session


def fetch(
    session: requests.Session,
    url: str,
    *,
    method: str = "GET",
    body: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> requests.Response:
    """Send a request; the answer is a success, its body still to be read.

    Raises
    ------
    SourceError
        SOURCE_NOT_FOUND, SOURCE_FORBIDDEN, or SOURCE_UNAVAILABLE.
    """
    try:
        response = session.request(method, url, json=body, headers=headers, stream=True, timeout=TIMEOUT)
    except requests.exceptions.InvalidURL:
        raise SourceError(ErrorCode.SOURCE_NOT_FOUND, "its URL cannot be used") from None
    except requests.RequestException:
        raise unavailable() from None
    if not response.ok:
        response.close()
        raise refused(response.status_code)
    return response


def read_body(response: requests.Response) -> bytes:
    """All of an answer.

    Raises
    ------
    SourceError
        SOURCE_UNAVAILABLE: it breaks off.
    """
    try:
        return response.content
    except requests.RequestException:
        raise unavailable() from None


def refused(status: int) -> SourceError:
    """Error for an answer that is none."""
    if status in _GONE:
        return SourceError(ErrorCode.SOURCE_NOT_FOUND, f"it does not exist (HTTP {status})")
    if status in _REFUSED:
        return SourceError(ErrorCode.SOURCE_FORBIDDEN, f"the server refuses it (HTTP {status})")
    return SourceError(ErrorCode.SOURCE_UNAVAILABLE, f"the server answers with an error (HTTP {status})")


def unavailable() -> SourceError:
    """Error for no answer, or one that breaks off."""
    return SourceError(ErrorCode.SOURCE_UNAVAILABLE, "the server does not answer")
