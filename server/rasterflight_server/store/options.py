"""How a store is reached: options that hold for all files below a prefix."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, Self, get_args
from urllib.parse import urlsplit

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.store.retrying import PATIENCE, Patience

Signing = Literal["planetary-computer"]

#: Of each, at most one.
_ALTERNATIVES: Final = (
    ("anonymous", "profile", "signing", "token_env", "token_file", "login_env", "login_file"),
    ("anonymous", "requester_pays", "billing_project"),
)
#: What a value has to be, by the type of the field.
_KINDS: Final[dict[Any, tuple[str, Any]]] = {
    bool: ("true or false", bool),
    int: ("a whole number", int),
    float: ("a number", int | float),
}
_MOST_RETRIES: Final = 20
_LONGEST_TIMEOUT: Final = 300.0
_VARIABLE: Final = re.compile("[A-Za-z_][A-Za-z0-9_]{0,49}")
_SECRET: Final = ("secret", "password", "access_key", "account_key", "session_token", "sas")
_IN_ENVIRONMENT: Final = (
    "secrets do not belong into a configuration: set the variables that the store's own tools know"
    " (AWS_SECRET_ACCESS_KEY, AZURE_STORAGE_ACCOUNT_KEY, GOOGLE_APPLICATION_CREDENTIALS), or use profile, token_env, token_file, login_env, login_file"
)


@dataclass(frozen=True, slots=True)
class StorageOptions:
    """Options of a store. None of them holds a secret; some say where one is found.

    Credentials that nothing is said about come from the environment, under the names that the store's own tools use.
    """

    anonymous: bool = False
    """Read without credentials, as public buckets allow."""

    region: str | None = None
    """s3: region of the bucket; by default that of the environment, else us-east-1."""

    endpoint: str | None = None
    """URL of the service where it is not the store's own: MinIO, Ceph, R2, emulators. For Azure it includes the account."""

    virtual_hosted: bool = False
    """s3: the bucket is part of the name of the host, as some services want it: ``https://BUCKET.HOST/key``. AWS itself takes both."""

    ca_file: str | None = None
    """File with certificates (PEM) that are trusted besides those of the machine."""

    account: str | None = None
    """az, abfs: the storage account, where the URL does not name it."""

    profile: str | None = None
    """s3: profile of the AWS configuration files, which also knows of SSO and roles; needs boto3."""

    requester_pays: bool = False
    """s3: the server's account pays for the reads."""

    billing_project: str | None = None
    """gs: the project that pays for the reads, for buckets where the reader pays."""

    allow_http: bool = False
    """Send credentials also where the connection is not encrypted; plain http without credentials needs no permission."""

    signing: Signing | None = None
    """Azure, also by https URL: who hands out access signatures. They are fetched when first needed, and renewed before they expire."""

    signing_url: str = "https://planetarycomputer.microsoft.com/api/sas/v1/token"
    """Where they are fetched; account and container are appended."""

    token_env: str | None = None
    """https, gs: environment variable with a bearer token, for hosts such as Earthdata."""

    token_file: str | None = None
    """https, gs: file with a bearer token. Each request sends what is in it by then, so it may be replaced while a read runs."""

    login_env: str | None = None
    """https: environment variable with USER:PASSWORD, for hosts with basic authentication."""

    login_file: str | None = None
    """https: file with USER:PASSWORD, looked at as ``token_file``."""

    rewrite: str | None = None
    """Prefix that takes the place of this one, so that ``https://BUCKET.s3.amazonaws.com/`` is read as ``s3://BUCKET/``. The
    options of the new prefix apply; where it has none, these. A prefix ``file:///folder/`` stands for files of this machine that a
    catalog, or an index, from elsewhere names: they are read only if this says where they are."""

    retries: int = PATIENCE.retries
    """How often a range is asked for again when the store fails; see ``Patience``."""

    timeout: float = PATIENCE.timeout
    """Seconds without a byte after which a try has failed; in all it may take ten times as long."""

    @property
    def patience(self) -> Patience:
        """How long a range is asked for when the store fails."""
        return Patience(self.retries, self.timeout)

    @classmethod
    def parse(cls, mapping: Mapping[str, Any], field: str) -> Self:
        """Options from a configuration file.

        Parameters
        ----------
        mapping
            Names of fields -> values.
        field
            What errors call the mapping: ``storage."s3://bucket/"``.

        Raises
        ------
        RequestError
            BAD_REQUEST: an unknown name, a value of another type, or options that exclude each other.
        """
        types = {item.name: item.type for item in fields(cls)}
        for name, value in mapping.items():
            if name not in types:
                raise _bad(f"there is no storage option {name!r}", f"{field}.{name}", _instead(name, list(types)))
            wanted, kind = _KINDS.get(types[name], ("text", str))
            if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool) or value == "":
                raise _bad(f"{name} is {wanted}, not {value!r}", f"{field}.{name}")
        options = cls(**mapping)
        options._check(field)
        return options

    def _check(self, field: str) -> None:
        if self.signing is not None and self.signing not in get_args(Signing):
            known = ", ".join(map(repr, get_args(Signing)))
            raise _bad(f"there is no signing {self.signing!r}", f"{field}.signing", f"there is {known}")
        for names in _ALTERNATIVES:
            given = [name for name in names if getattr(self, name)]
            if len(given) > 1:
                raise _bad(f"{' and '.join(given)} exclude each other", field, "say one way to get in")
        self._check_values(field)

    def _check_values(self, field: str) -> None:
        for name in ("token_env", "login_env"):
            if not _VARIABLE.fullmatch(getattr(self, name) or name):
                # Not repeated in the error: it may be the secret itself.
                raise _bad(f"{name} is no name of a variable", f"{field}.{name}", "for example EARTHDATA_TOKEN")
        if not 0 <= self.retries <= _MOST_RETRIES:
            raise _bad(f"retries is {self.retries}", f"{field}.retries", f"0 to {_MOST_RETRIES} can be")
        if not 0 < self.timeout <= _LONGEST_TIMEOUT:
            raise _bad(f"timeout is {self.timeout}", f"{field}.timeout", f"up to {_LONGEST_TIMEOUT:g} seconds can be")
        for name in ("endpoint", "signing_url"):
            url = getattr(self, name)
            if url is not None:
                _check_url(url, f"{field}.{name}")
        if self.rewrite is not None and ("://" not in self.rewrite or "?" in self.rewrite):
            raise _bad(f"{self.rewrite!r} is no prefix of URLs", f"{field}.rewrite", "for example 's3://bucket/'")


def _check_url(url: str, field: str) -> None:
    # Not repeated in the error: it may hold a password.
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and not parts.query and parts.username is None
    except ValueError:
        usable = False
    if not usable:
        raise _bad(
            "the URL cannot be used", field, "https://HOST or http://HOST, without a query and without a password"
        )


def _instead(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return _IN_ENVIRONMENT if any(word in name.lower() for word in _SECRET) else f"there are: {', '.join(known)}"


def _bad(message: str, field: str, hint: str = "") -> RequestError:
    return RequestError(ErrorCode.BAD_REQUEST, message, field=field, hint=hint)
