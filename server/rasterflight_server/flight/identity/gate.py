"""Whether a caller is let in, and as whom."""

import hashlib
from collections.abc import Sequence
from typing import Final

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import ServiceError
from rasterflight_server.flight.identity.credentials import NEW_TOKEN, Credential, credential_in, refused
from rasterflight_server.flight.identity.failures import Failures
from rasterflight_server.flight.identity.peers import address_of
from rasterflight_server.flight.identity.tokenbook import TokenBook
from rasterflight_server.flight.identity.webtokens import WebTokens
from rasterflight_server.settings.access import AccessSettings
from rasterflight_server.types.caller import ANONYMOUS, Caller

#: Flight does not tell from where a handshake comes.
_HANDSHAKES: Final = "handshakes"


class Gate:
    """Lets callers in; safe to use from any thread.

    Tokens that are known to be right are let in first, so that nobody is shut out by others who try theirs from the same
    address; of those that are not known, an address has some tries a minute, and further ones are not even looked at.

    Parameters
    ----------
    access
        Who may come in.
    certificates
        Every connection shows a certificate that the server trusts.

    Raises
    ------
    ConfigError
        Tokens or keys cannot be used.
    """

    def __init__(self, access: AccessSettings, *, certificates: bool = False) -> None:
        self._anonymous = access.anonymous
        self._book = None if access.tokens is None else TokenBook(access.tokens)
        self._web = None if access.jwt.jwks is None else WebTokens(access.jwt)
        self._failures = Failures(access.failures)
        #: Whether callers show tokens.
        self.takes_tokens = self._book is not None or self._web is not None
        #: Whether it is the certificate that says who calls.
        self.by_certificate = certificates and not self.takes_tokens

    def identify(self, authorization: Sequence[str], peer: str, certificate: bytes) -> Caller:
        """Say who calls.

        Parameters
        ----------
        authorization
            Headers of this name.
        peer
            Where the call comes from, as gRPC says.
        certificate
            Whose certificate the connection showed, as gRPC says.

        Raises
        ------
        ServiceError
            UNAUTHENTICATED: nobody whom the server knows. BUSY: there were too many failed tries, or the provider's keys cannot be had.
        """
        if self.by_certificate:
            name = certificate.decode(errors="replace")
            return Caller(f"certificate:{name}", name)
        if not self.takes_tokens:
            # Nothing is known of tokens here, yet who has one keeps apart from others.
            key = hashlib.sha256(repr(authorization).encode()).hexdigest() if any(authorization) else ANONYMOUS.key
            return Caller(key, admin=not self._anonymous)
        credential = credential_in(authorization)
        if credential is None:
            if self._anonymous:
                return ANONYMOUS
            raise refused("this server wants to know who calls, and the call has no token")
        return self._known(credential) or self._tried(credential, address_of(peer))

    def welcome(self, authorization: Sequence[str]) -> str | None:
        """Answer a handshake: the token to show from now on, which came as the password of any user.

        Raises
        ------
        ServiceError
            As ``identify``.
        """
        credential = credential_in(authorization)
        # When too many have failed, the calls that the token is used for are judged, each by its address.
        if self.takes_tokens and not self._failures.wait(_HANDSHAKES):
            if credential is None:
                raise refused("the handshake has no token", hint="pass any user, and a token as the password")
            if self._known(credential) is None:
                self._tried(credential, _HANDSHAKES)
        return None if credential is None else credential.token

    def _known(self, credential: Credential) -> Caller | None:
        found = None if self._book is None else self._book.find(credential)
        return self._web.known(credential) if found is None and self._web is not None else found

    def _tried(self, credential: Credential, address: str) -> Caller:
        seconds = self._failures.wait(address)
        if seconds:
            raise ServiceError(
                ErrorCode.BUSY,
                "too many tokens from this address were not right",
                hint=f"try again in {seconds:.0f} seconds; tokens that the server knows are not held up",
            )
        try:
            if self._web is None or not self._web.could_be(credential):
                raise refused("the token is not known here: it is wrong, or it was revoked", hint=NEW_TOKEN)
            return self._web.check(credential)
        except ServiceError as error:
            if error.code is ErrorCode.UNAUTHENTICATED:
                self._failures.add(address)
            raise
