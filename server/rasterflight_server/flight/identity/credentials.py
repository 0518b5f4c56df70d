"""What callers show: the token in the header ``authorization``."""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import ServiceError

HEADER: Final = "authorization"
NEW_TOKEN: Final = "ask the operator of the server for a new one"  # noqa: S105 - words
_HOW_TO: Final = 'pass a token: rasterflight.connect(url, token=...), RASTERFLIGHT_TOKEN, or the header "authorization: Bearer TOKEN"'


@dataclass(frozen=True, slots=True)
class Credential:
    """A token that came with a call; it is shown nowhere."""

    token: str = field(repr=False)

    @property
    def digest(self) -> str:
        """What stands for the token where it must not be."""
        return digest_of(self.token)


def digest_of(token: str) -> str:
    """The SHA-256 of a token, in hex. Tokens are random, so that a slower hash would protect nothing more."""
    return hashlib.sha256(token.encode("utf-8", errors="surrogateescape")).hexdigest()


def credential_in(headers: Sequence[str]) -> Credential | None:
    """The token in the headers ``authorization`` of a call, as Bearer, or as password of any user (Basic).

    Returns
    -------
    Credential or None
        None: there is no such header.

    Raises
    ------
    ServiceError
        UNAUTHENTICATED: there are several, or one of another form.
    """
    if not any(headers):
        return None
    if len(headers) > 1:
        raise refused("there are several headers 'authorization'")
    scheme, _, value = headers[0].strip().partition(" ")
    token = value.strip()
    if scheme.lower() == "basic":
        try:
            # Clients in Go leave the padding out.
            padded = token.rstrip("=") + "=" * (-len(token.rstrip("=")) % 4)
            token = base64.b64decode(padded, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            raise refused("the user and password in the header 'authorization' cannot be read") from None
    elif scheme.lower() != "bearer":
        raise refused("the header 'authorization' is neither Bearer nor Basic")
    if not token:
        raise refused("the token in the header 'authorization' is empty")
    return Credential(token)


def refused(why: str, hint: str = _HOW_TO) -> ServiceError:
    """The error for somebody who is not let in."""
    return ServiceError(ErrorCode.UNAUTHENTICATED, why, field=HEADER, hint=hint)
