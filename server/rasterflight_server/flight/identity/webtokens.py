"""JSON web tokens (RFC 7519) of an identity provider."""

import hashlib
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import jwt

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import ServiceError
from rasterflight_server.flight.identity.credentials import Credential, refused
from rasterflight_server.flight.identity.jwks import Jwk, Keys, open_keys
from rasterflight_server.settings.access import JwtSettings
from rasterflight_server.types.caller import Caller

#: Signatures that only the provider can make.
_ALGORITHMS: Final = {
    "RS256": "RSA",
    "RS384": "RSA",
    "RS512": "RSA",
    "PS256": "RSA",
    "PS384": "RSA",
    "PS512": "RSA",
    "ES256": "EC",
    "ES384": "EC",
    "ES512": "EC",
    "EdDSA": "OKP",
}
#: A token that was found right is not looked at again for so many seconds.
_TRUST_SECONDS: Final = 60.0
_MOST_TRUSTED: Final = 10_000
_DOTS: Final = 2
#: What comes of tokens that others make up: numbers without end, or a thousand brackets, are more than pyjwt expects.
_UNREADABLE: Final = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)
_LONGEST_NAME: Final = 200
_EVERYTHING: Final = "*"
_NEW_TOKEN: Final = "get a new token from your identity provider"  # noqa: S105 - words
_OTHER_TOKEN: Final = "use a token that your identity provider made for this server"  # noqa: S105 - words


class WebTokens:
    """Checks tokens; safe to use from any thread.

    Parameters
    ----------
    settings
        Whose tokens are taken, and what they must say: keys, issuer and audience are set.

    Raises
    ------
    ConfigError
        The keys cannot be used.
    """

    def __init__(self, settings: JwtSettings) -> None:
        self._settings = settings
        self._keys: Keys = open_keys(str(settings.jwks))
        self._lock = threading.Lock()
        #: Hash of a token -> who shows it, and until when that need not be checked again (seconds since 1970).
        self._trusted: OrderedDict[str, tuple[Caller, float]] = OrderedDict()

    @staticmethod
    def could_be(credential: Credential) -> bool:
        """Whether something looks like such a token."""
        return credential.token.count(".") == _DOTS

    def known(self, credential: Credential) -> Caller | None:
        """Who shows a token that was checked a moment ago; None: it was not."""
        with self._lock:
            caller, until = self._trusted.get(credential.digest, (None, 0.0))
        return caller if time.time() < until else None

    def check(self, credential: Credential) -> Caller:
        """Who shows a token.

        Raises
        ------
        ServiceError
            UNAUTHENTICATED: it is not right, and why. BUSY: nobody can say now, since the provider's keys cannot be had.
        """
        try:
            claims = self._claims(credential.token)
        except _UNREADABLE as error:
            raise _refusal(error) from None
        caller = self._caller(claims)
        until = min(time.time() + _TRUST_SECONDS, float(claims["exp"]))
        with self._lock:
            self._trusted[credential.digest] = caller, until
            self._trusted.move_to_end(credential.digest)
            while len(self._trusted) > _MOST_TRUSTED:
                self._trusted.popitem(last=False)
        return caller

    def _claims(self, token: str) -> dict[str, Any]:
        header = jwt.get_unverified_header(token)
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in _ALGORITHMS:
            raise jwt.InvalidAlgorithmError
        if "crit" in header:
            raise jwt.InvalidTokenError
        claims = jwt.decode(
            token,
            key=self._key(header.get("kid"), algorithm),
            algorithms=[algorithm],
            issuer=self._settings.issuer,
            audience=self._settings.audience,
            leeway=self._settings.leeway,
            options={"require": ["exp", "iss", "aud"]},
        )
        if not math.isfinite(float(claims["exp"])):
            raise jwt.DecodeError
        return claims

    def _key(self, kid: object, algorithm: str) -> jwt.PyJWK:
        """The key that must have signed a token."""
        found = _fitting(self._keys.known(), kid, algorithm) or _fitting(self._keys.newest(), kid, algorithm)
        if not found and not self._keys.known():
            raise ServiceError(
                ErrorCode.BUSY, "the keys of the identity provider cannot be had at the moment", hint="try again later"
            )
        # Without the name of a key there must be no choice.
        if len(found) != 1:
            raise jwt.InvalidKeyError
        return jwt.PyJWK(dict(found[0]), algorithm)

    def _caller(self, claims: Mapping[str, Any]) -> Caller:
        settings = self._settings
        name, subject = claims.get(settings.name_claim), claims.get("sub")
        if not (isinstance(name, str) and name):
            raise refused(f"the token does not say who shows it (the claim {settings.name_claim!r})", hint=_OTHER_TOKEN)
        # Of whoever it was made for: the same for his next token.
        whose = repr((claims["iss"], subject or name))
        return Caller(
            f"jwt:{hashlib.sha256(whose.encode()).hexdigest()}",
            "".join(filter(str.isprintable, name))[:_LONGEST_NAME],
            _names(claims.get(settings.collections_claim, []), settings.collections_claim),
            claims.get(settings.admin_claim) is True,
        )


def _fitting(keys: Sequence[Jwk], kid: object, algorithm: str) -> list[Jwk]:
    return [
        key
        for key in keys
        if key["kty"] == _ALGORITHMS[algorithm]
        and key.get("alg", algorithm) == algorithm
        and (kid is None or key.get("kid") == kid)
    ]


def _names(claim: object, name: str) -> frozenset[str] | None:
    """The collections that a claim names: a list, or names with spaces in between; None: all."""
    names = claim.split() if isinstance(claim, str) else claim
    if not (isinstance(names, list) and all(isinstance(each, str) for each in names)):
        raise refused(f"the claim {name!r} of the token is no list of names", hint=_OTHER_TOKEN)
    return None if _EVERYTHING in names else frozenset(names)


def _refusal(error: Exception) -> ServiceError:
    """In our words: what pyjwt says may quote the token."""
    for class_, why, hint in _REASONS:
        if isinstance(error, class_):
            return refused(f"the token {why}", hint=hint)
    return refused("the token is neither known here nor a JSON web token that can be read")


#: The first that fits.
_REASONS: Final[tuple[tuple[type[jwt.PyJWTError], str, str], ...]] = (
    (jwt.ExpiredSignatureError, "has expired", _NEW_TOKEN),
    (jwt.ImmatureSignatureError, "is not valid yet", "look at the clocks of the identity provider and of the server"),
    (jwt.InvalidIssuerError, "is of another issuer than this server trusts", _OTHER_TOKEN),
    (jwt.InvalidAudienceError, "was made for another audience than this server", _OTHER_TOKEN),
    (jwt.MissingRequiredClaimError, "lacks the time of its end, its issuer or its audience", _OTHER_TOKEN),
    (
        jwt.InvalidAlgorithmError,
        "is not signed in a way that this server trusts",
        f"algorithms here: {', '.join(_ALGORITHMS)}",
    ),
    (jwt.InvalidSignatureError, "has a signature that is not right", _NEW_TOKEN),
    (jwt.InvalidKeyError, "is signed by a key that the identity provider does not name", _NEW_TOKEN),
    (jwt.PyJWKError, "is signed by a key that the identity provider does not name", _NEW_TOKEN),
)
