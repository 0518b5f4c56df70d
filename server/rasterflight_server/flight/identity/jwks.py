"""The keys of an identity provider (RFC 7517): from a file, or from its server."""

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import requests

from rasterflight_server.errors import ConfigError
from rasterflight_server.flight.identity.watched import Watched
from rasterflight_server.settings.kinds import without_secrets

_log = logging.getLogger("rasterflight_server")

Jwk = Mapping[str, Any]

#: Types of keys that have a public half; what is signed by a shared secret, everybody could sign who can check it.
_PUBLIC: Final = ("RSA", "EC", "OKP")
_MAX_BYTES: Final = 1 << 20
#: Seconds to connect, between two parts of an answer, and for all of it.
_TIMEOUT: Final = (3.0, 3.0)
_WHOLE_SECONDS: Final = 6.0
#: Keys are asked for again after so many seconds: one that the provider has withdrawn is not trusted for ever.
_LIFE_SECONDS: Final = 300.0
#: Between two requests, whatever tokens come.
_PAUSE_SECONDS: Final = 10.0


class Keys(Protocol):
    """Where keys are found."""

    def known(self) -> Sequence[Jwk]:
        """Those that were there when they were looked at last."""

    def newest(self) -> Sequence[Jwk]:
        """Those that are there now, as far as that may be asked: after a token came whose key is not known."""


class FileKeys:
    """Keys in a file, which is read again when it changes."""

    def __init__(self, path: Path) -> None:
        self._keys = Watched(path, _read)

    def known(self) -> Sequence[Jwk]:
        """The keys."""
        return self._keys.value

    def newest(self) -> Sequence[Jwk]:
        """The same."""
        return self._keys.value


class RemoteKeys:
    """Keys behind a URL; those that were there last are kept while nothing answers.

    Parameters
    ----------
    url
        Checked by ``open_keys``.
    clock
        Seconds that only go forward.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._clock = clock
        #: Held by whoever asks the provider.
        self._asking = threading.Lock()
        self._keys: Sequence[Jwk] = ()
        self._asked = -_PAUSE_SECONDS
        self._answered = -_LIFE_SECONDS
        self.newest()

    def known(self) -> Sequence[Jwk]:
        """The keys; old ones are brought up to date behind the caller's back."""
        now = self._clock()
        if now - self._answered > _LIFE_SECONDS and now - self._asked > _PAUSE_SECONDS and not self._asking.locked():
            threading.Thread(target=self.newest, daemon=True, name="jwks").start()
        return self._keys

    def newest(self) -> Sequence[Jwk]:
        """The keys, asked for unless that was done a moment ago."""
        with self._asking:
            if self._clock() - self._asked >= _PAUSE_SECONDS:
                try:
                    self._keys = _parsed(_fetch(self._url))
                    self._answered = self._clock()
                except (requests.RequestException, ValueError) as error:
                    _log.error(
                        "the keys at %s cannot be had: %s; %d known before hold on",
                        without_secrets(self._url),
                        _why(error),
                        len(self._keys),
                    )
                # A slow provider gets its pause too.
                self._asked = self._clock()
        return self._keys


def open_keys(place: str) -> Keys:
    """Find keys at an https URL or in a file.

    Raises
    ------
    ConfigError
        The URL is not encrypted, or the file cannot be used. A server that does not answer is asked again later.
    """
    if "://" not in place:
        return FileKeys(Path(place))
    parts = urlsplit(place)
    if parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname)):
        return RemoteKeys(place)
    raise ConfigError(
        f"the keys of the identity provider would come from {parts.scheme}://{parts.hostname}, and who is in between could change them",
        field="access.jwt.jwks",
        hint="use an https URL, or a file",
    )


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False


def _fetch(url: str) -> bytes:
    deadline = time.monotonic() + _WHOLE_SECONDS
    content = bytearray()
    with requests.get(
        url, timeout=_TIMEOUT, allow_redirects=False, stream=True, headers={"accept": "application/json"}
    ) as answer:
        if answer.status_code != requests.codes.ok:
            raise ValueError(f"the answer has the status {answer.status_code}")
        for part in answer.iter_content(1 << 16):
            content += part
            if len(content) > _MAX_BYTES:
                raise ValueError(f"the answer has more than {_MAX_BYTES} bytes")
            if time.monotonic() > deadline:
                raise ValueError("the answer takes too long")
    return bytes(content)


def _why(error: Exception) -> str:
    """What is wrong; errors of requests would name objects in memory."""
    return type(error).__name__ if isinstance(error, requests.RequestException) else str(error)


def _read(path: Path) -> Sequence[Jwk]:
    try:
        return _parsed(path.read_bytes())
    except OSError as error:
        why = error.strerror or str(error)
    except ValueError as error:
        why = str(error)
    raise ConfigError(f"the keys of the identity provider in {path} cannot be used: {why}", field="access.jwt.jwks")


def _parsed(content: bytes) -> Sequence[Jwk]:
    """The public keys for signatures in a key set; raises ``ValueError``."""
    try:
        document = json.loads(content)
    except ValueError:
        raise ValueError("it is no JSON") from None
    keys = document.get("keys") if isinstance(document, dict) else None
    if keys is None or not isinstance(keys, list):
        raise ValueError("it is no set of keys (an object with the list 'keys')")
    usable = [
        key for key in keys if isinstance(key, dict) and key.get("kty") in _PUBLIC and key.get("use", "sig") == "sig"
    ]
    if not usable:
        raise ValueError("there is no public key for signatures in it")
    return usable
