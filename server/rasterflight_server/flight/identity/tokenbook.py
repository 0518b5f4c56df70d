"""The tokens that a running server takes."""

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from rasterflight_server.flight.identity.credentials import NEW_TOKEN, Credential, refused
from rasterflight_server.flight.identity.tokens import Token, read_tokens
from rasterflight_server.flight.identity.watched import Watched
from rasterflight_server.types.caller import Caller


class TokenBook:
    """Tokens by their hashes, as the file has them now.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    ConfigError
        It cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._tokens = Watched(path, _by_hash)

    def find(self, credential: Credential) -> Caller | None:
        """Who shows a token; None: it is not in the file.

        Raises
        ------
        ServiceError
            UNAUTHENTICATED: its time is over.
        """
        digest = credential.digest
        token = self._tokens.value.get(digest)
        if token is None or not hmac.compare_digest(token.sha256, digest):
            return None
        if token.expired(datetime.now(UTC)):
            raise refused("the token has expired", hint=NEW_TOKEN)
        return Caller(f"token:{token.id}", token.name, token.collections, token.admin)


def _by_hash(path: Path) -> Mapping[str, Token]:
    return {token.sha256: token for token in read_tokens(path)}
