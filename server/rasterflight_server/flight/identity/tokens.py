"""The file of tokens: hashes of them, and what each opens."""

import fcntl
import json
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import ConfigError, RequestError
from rasterflight_server.flight.identity.credentials import digest_of

#: By this, people and scanners know a token when they see one.
PREFIX: Final = "rft_"
_VERSION: Final = 1
_RANDOM_BYTES: Final = 32
_DIGEST_LENGTH: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What is known of a token: not the token itself."""

    #: Stays with it, whatever it is called.
    id: str
    name: str
    #: Hash, in hex.
    sha256: str = field(repr=False)
    #: What it opens; None: everything.
    collections: frozenset[str] | None
    #: It may also run actions of the operator.
    admin: bool
    created: datetime
    #: None: never.
    expires: datetime | None

    def expired(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.expires is not None and now >= self.expires


def read_tokens(path: Path) -> tuple[Token, ...]:
    """Read the file.

    Raises
    ------
    ConfigError
        It cannot be read, or is not a file of tokens.
    """
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError(
            f"the file of tokens {path} cannot be read: {error.strerror}",
            field="access.tokens",
            hint="make one: rasterflight-server token create NAME --tokens FILE",
        ) from None
    except ValueError:
        raise _broken(path, "it is no JSON") from None
    if not isinstance(document, dict) or not isinstance(document.get("tokens"), list):
        raise _broken(path, "it has no list of tokens")
    if document.get("version") != _VERSION:
        raise _broken(path, f"its version is {document.get('version')!r}, expected {_VERSION}")
    try:
        return tuple(map(_token, document["tokens"]))
    except (KeyError, TypeError, ValueError):
        # Not the words of the error: they might quote a hash.
        raise _broken(path, "one of its tokens lacks something, or has something of another kind") from None


def create_token(
    path: Path, name: str, *, collections: Sequence[str] | None, admin: bool, expires: datetime | None
) -> str:
    """Make a token, and put its hash into the file, which is made where there is none.

    Returns
    -------
    str
        The token, which is nowhere else.

    Raises
    ------
    RequestError
        BAD_REQUEST: there is one of this name.
    ConfigError
        The file cannot be used.
    """
    token = PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    made = Token(
        id=secrets.token_hex(8),
        name=name,
        sha256=digest_of(token),
        collections=None if collections is None else frozenset(collections),
        admin=admin,
        created=datetime.now(UTC).replace(microsecond=0),
        expires=expires,
    )
    with _locked(path):
        tokens = read_tokens(path) if path.exists() else ()
        if any(known.name == name for known in tokens):
            raise RequestError(
                ErrorCode.BAD_REQUEST,
                f"there is a token {name!r} already",
                field="name",
                hint="revoke it first, or choose another name",
            )
        _write(path, (*tokens, made))
    return token


def revoke_token(path: Path, name: str) -> Token:
    """Take a token out of the file.

    Parameters
    ----------
    name
        Its name or id.

    Raises
    ------
    RequestError
        BAD_REQUEST: there is none; names those that there are.
    ConfigError
        The file cannot be used.
    """
    with _locked(path):
        tokens = read_tokens(path)
        found = next((token for token in tokens if name in (token.name, token.id)), None)
        if found is None:
            there = ", ".join(token.name for token in tokens) or "none"
            raise RequestError(
                ErrorCode.BAD_REQUEST, f"there is no token {name!r}", field="name", hint=f"tokens in the file: {there}"
            )
        _write(path, [token for token in tokens if token is not found])
    return found


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep others who change files of this folder waiting."""
    try:
        folder = os.open(path.absolute().parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise ConfigError(f"the folder of {path} cannot be used: {error.strerror}", field="access.tokens") from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _write(path: Path, tokens: Sequence[Token]) -> None:
    """Replace the file as a whole; only its owner may read it."""
    document = {"version": _VERSION, "tokens": [_row(token) for token in tokens]}
    part = None
    try:
        with tempfile.NamedTemporaryFile(
            "w", dir=path.absolute().parent, prefix=f".{path.name}-", delete=False
        ) as file:
            part = Path(file.name)  # made with mode 0600
            json.dump(document, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        if part is not None:
            part.unlink(missing_ok=True)
        raise ConfigError(
            f"the file of tokens {path} cannot be written: {error.strerror}", field="access.tokens"
        ) from None


def _row(token: Token) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "sha256": token.sha256,
        "collections": "*" if token.collections is None else sorted(token.collections),
        "admin": token.admin,
        "created": token.created.isoformat(),
        "expires": None if token.expires is None else token.expires.isoformat(),
    }


def _token(row: Mapping[str, Any]) -> Token:
    collections, admin, expires = row["collections"], row["admin"], row["expires"]
    names = [row["id"], row["name"], row["sha256"], *(collections if isinstance(collections, list) else [])]
    right = all(isinstance(name, str) and name for name in names) and (
        collections == "*" or isinstance(collections, list)
    )
    if not (right and isinstance(admin, bool) and len(bytes.fromhex(row["sha256"])) * 2 == _DIGEST_LENGTH):
        raise TypeError
    return Token(
        id=row["id"],
        name=row["name"],
        sha256=row["sha256"].lower(),
        collections=None if collections == "*" else frozenset(collections),
        admin=admin,
        created=_time(row["created"]),
        expires=None if expires is None else _time(expires),
    )


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


def _broken(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"the file of tokens {path} cannot be used: {why}",
        field="access.tokens",
        hint="keep it by rasterflight-server token",
    )
