"""Why a store refuses a file, by the code that it answers with, and what helps."""

import re
from collections.abc import Callable
from typing import Final

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError
from rasterflight_server.store.options import StorageOptions
from rasterflight_server.store.places import Place

#: S3, Azure and Google (XML) name what is wrong in the same way.
_CODE: Final = re.compile(r"<Code>([A-Za-z.]{1,60})</Code>")
_CERTIFICATE: Final = re.compile(r"InvalidCertificate\(\s*(?:Other\(\s*OtherError\(\s*)?([A-Za-z]{1,40})")

_Hint = str | Callable[[Place, StorageOptions], str]


def setting(place: Place, option: str) -> str:
    """How an option is set, as ``collection.toml`` spells it; hosts of web servers are not told to callers."""
    prefix = "https://HOST" if place.kind == "http" else f"{place.kind}://{place.name}"
    return f'storage."{prefix}/".{option}'


def named(text: str, place: Place, options: StorageOptions) -> SourceError | None:
    """The error for an answer that names its reason; None: it names none, or one that says no more than its status does.

    Parameters
    ----------
    text
        Words of the error, with the body of the answer.
    """
    found = _CODE.search(text)
    if found is None or found[1] not in _REASONS:
        return None
    code, message, hint = _REASONS[found[1]]
    if "Request has expired" in text or "not valid in the specified time frame" in text:
        code, message, hint = _SIGNATURE_ENDED
    return SourceError(code, message, hint=hint if isinstance(hint, str) else hint(place, options))


def untrusted(text: str, place: Place) -> SourceError | None:
    """The error for a certificate that is not good enough; None: it was not that."""
    found = _CERTIFICATE.search(text)
    if found is None:
        return None
    return SourceError(
        ErrorCode.SOURCE_FORBIDDEN,
        f"the certificate of the store is not trusted ({found[1]})",
        hint=f"if it is of an authority of your own: {setting(place, 'ca_file')} = a file with its certificate (PEM)",
    )


def way_in(place: Place, options: StorageOptions) -> str:
    """What may help where a store refuses a file without saying why."""
    if options.token_env is not None or options.token_file is not None:
        return "the token that the server has for the store may have run out"
    if options.login_env is not None or options.login_file is not None:
        return "check the user and the password that the server has for the store"
    if place.kind == "http":
        return (
            "a signed URL may have run out: index the collection again with fresh ones;"
            " a host that wants a token gets it by token_file in the storage options"
        )
    if options.anonymous:
        return "give the server credentials, and leave anonymous out of the storage options"
    ways = ["check that the account of the server may read the file", _payer(place, options), _public(place, options)]
    return "; ".join(filter(None, ways))


def _payer(place: Place, options: StorageOptions) -> str:
    """How the server pays for its reads, where it does not yet."""
    if place.kind == "s3" and not options.requester_pays:
        return f"requester pays: set {setting(place, 'requester_pays')} = true"
    if place.kind == "gs" and options.billing_project is None:
        return f"requester pays: set {setting(place, 'billing_project')} = the project that pays"
    return ""


def _public(place: Place, options: StorageOptions) -> str:
    pays = options.requester_pays or options.billing_project is not None
    return "" if pays else f"public: set {setting(place, 'anonymous')} = true"


def _renewed(place: Place, options: StorageOptions) -> str:
    if options.profile is not None:
        return f"log in again: aws sso login --profile {options.profile}"
    if place.kind == "http":
        return "index the collection again with URLs that are signed afresh"
    return "give the server new ones, or let it use such that renew themselves: a role of its machine, or profile"


_FORBIDDEN: Final = ErrorCode.SOURCE_FORBIDDEN
_ENDED: Final = (_FORBIDDEN, "the credentials that the server has for the store have run out", _renewed)
_UNKNOWN: Final = (
    _FORBIDDEN,
    "the store does not know the credentials of the server",
    "check the access key, the secret and the session token in its environment, or the profile",
)
_CLOCK: Final = (_FORBIDDEN, "the clock of the server is wrong by minutes, says the store", "set it by NTP")
_ARCHIVED: Final = (_FORBIDDEN, "the file is in an archive tier of the store", "have the store restore it first")
_SIGNATURE_ENDED: Final = (
    _FORBIDDEN,
    "the signature of the URL has run out",
    "index the collection again with fresh ones, or let the server sign: signing in the storage options",
)
_PAYER: Final = (_FORBIDDEN, "the reader has to pay for the bucket of the file", _payer)
_REASONS: Final[dict[str, tuple[ErrorCode, str, _Hint]]] = {
    "AccessDenied": (_FORBIDDEN, "the store refuses the file (AccessDenied)", way_in),
    "ExpiredToken": _ENDED,
    "TokenRefreshRequired": _ENDED,
    "InvalidAccessKeyId": _UNKNOWN,
    "InvalidToken": _UNKNOWN,
    "SignatureDoesNotMatch": _UNKNOWN,
    "RequestTimeTooSkewed": _CLOCK,
    "InvalidObjectState": _ARCHIVED,
    "BlobArchived": _ARCHIVED,
    "UserProjectMissing": _PAYER,
    "UserProjectAccessDenied": (
        _FORBIDDEN,
        "the account of the server may not charge the billing_project",
        "give it the role serviceusage.serviceUsageConsumer in that project",
    ),
    "AuthenticationFailed": (
        _FORBIDDEN,
        "the store does not know the credentials of the server (AuthenticationFailed)",
        "check the account key or the signature, and the clock of the server",
    ),
    "PublicAccessNotPermitted": (
        _FORBIDDEN,
        "the storage account lets nobody in without credentials",
        "give the server credentials, and leave anonymous out of the storage options",
    ),
}
