"""``[access]``: who may come in, and what he may do."""

from dataclasses import dataclass, field
from pathlib import Path

from rasterflight_server.settings.kinds import PathOrUrl


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtSettings:
    """JSON web tokens of an identity provider (RFC 7519)."""

    jwks: PathOrUrl | None = None
    """Its keys: an https URL, or a file; None: no such tokens are taken. With it, issuer and audience must be set too."""

    issuer: str | None = None
    """What ``iss`` must say."""

    audience: str | None = None
    """What ``aud`` must hold."""

    leeway: float = 30.0
    """Seconds that clocks may differ."""

    name_claim: str = "sub"
    """Who the caller is."""

    collections_claim: str = "rasterflight_collections"
    """Names of the collections that he may read, as a list or with spaces in between; ``*``: all; without the claim: none."""

    admin_claim: str = "rasterflight_admin"
    """True: he may also run actions of the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessSettings:
    """Who may come in, and what he may do."""

    anonymous: bool = False
    """Who shows no token may read everything. Without tokens, keys and certificates of clients this holds on loopback and unix
    sockets by itself, and everybody there may also run actions of the operator."""

    tokens: Path | None = None
    """File that ``rasterflight-server token`` keeps: hashes of tokens, and what each opens."""

    failures: int = 10
    """Failed tries from one address within a minute before further ones are turned away unread; tokens that are known to be
    right are always let in."""

    jwt: JwtSettings = field(default_factory=JwtSettings)
    """``[access.jwt]``"""
