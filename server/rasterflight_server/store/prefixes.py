"""Options by prefix of URLs: which hold for a URL, and which URL is read in its place."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Final
from urllib.parse import quote, unquote

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.store.options import StorageOptions
from rasterflight_server.store.places import FOREIGN, KINDS, unusable

NO_OPTIONS: Final = StorageOptions()
#: Kinds of stores that an option means something for; the others hold for all.
_MEANT_FOR: Final = {
    "region": ("s3",),
    "profile": ("s3",),
    "requester_pays": ("s3",),
    "virtual_hosted": ("s3",),
    "billing_project": ("gs",),
    "account": ("az",),
    "signing": ("az", "http"),
    "token_env": ("http", "gs"),
    "token_file": ("http", "gs"),
    "login_env": ("http",),
    "login_file": ("http",),
    "endpoint": ("s3", "gs", "az"),
}


class Prefixes:
    """Options by prefix; the longest that fits a URL holds, alone.

    Raises
    ------
    RequestError
        BAD_REQUEST: a prefix is not one, or has options that mean nothing for it.
    """

    def __init__(self, options: Mapping[str, StorageOptions]) -> None:
        for prefix, chosen in options.items():
            _check(prefix, chosen)
        self._options = {_key(prefix): chosen for prefix, chosen in options.items()}
        for chosen in options.values():
            if chosen.rewrite is not None and self._chosen(normal(chosen.rewrite))[1] is NO_OPTIONS:
                self._options[normal(chosen.rewrite)] = replace(chosen, rewrite=None)

    def resolve(self, href: str) -> tuple[str, StorageOptions]:
        """The URL that is read in place of another, and its options.

        Raises
        ------
        SourceError
            SOURCE_NOT_FOUND: it would lead out of the folder that takes the place of another.
        """
        url = normal(href)
        prefix, options = self._chosen(url)
        if options.rewrite is None:
            return url, options
        rest = url.removeprefix(prefix).lstrip("/")
        if url.startswith("http") and not options.rewrite.startswith("http"):
            # Keys of buckets are not percent-encoded, and have no query.
            rest = unquote(rest.partition("?")[0])
        if normal(options.rewrite).startswith("file://"):
            if ".." in rest.split("/"):
                raise unusable()
            rest = quote(rest)
        url = normal(f"{options.rewrite.rstrip('/')}/{rest}")
        return url, self._chosen(url)[1]

    def _chosen(self, url: str) -> tuple[str, StorageOptions]:
        fitting = [prefix for prefix in self._options if _is_below(url, prefix)]
        longest = max(fitting, key=len, default="")
        return longest, self._options.get(longest, NO_OPTIONS)


def _is_below(url: str, prefix: str) -> bool:
    return url.startswith(prefix) and (prefix.endswith("/") or url[len(prefix) :][:1] in ("", "/", "?"))


def normal(url: str) -> str:
    """The URL with its scheme in lower case, and the host of a web server too."""
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    if scheme in ("http", "https"):
        host, slash, path = rest.partition("/")
        rest = f"{host.lower()}{slash}{path}"
    return f"{scheme}://{rest}"


def _key(prefix: str) -> str:
    """A folder of this machine that is rewritten stands for what others call so: own files need no leave."""
    url = normal(prefix)
    return f"{FOREIGN}{url.removeprefix('file')}" if url.startswith("file://") else url


def _check(prefix: str, options: StorageOptions) -> None:
    field = f'storage."{prefix}"'
    if normal(prefix).startswith("file://") and options == StorageOptions(rewrite=options.rewrite or ""):
        return
    if prefix.partition("://")[0].lower() not in KINDS or "://" not in prefix:
        raise RequestError(
            ErrorCode.BAD_REQUEST,
            "storage options are for prefixes of remote URLs",
            field=field,
            hint="for example 's3://bucket/' or 'https://host/'",
        )
    scheme = (options.rewrite or prefix).partition("://")[0].lower()
    kind = "az" if options.signing is not None and scheme == "https" else KINDS.get(scheme)
    for item in fields(options):
        kinds = _MEANT_FOR.get(item.name)
        if kinds is not None and kind not in kinds and getattr(options, item.name) != item.default:
            raise RequestError(
                ErrorCode.BAD_REQUEST,
                f"{item.name} means nothing for {scheme}:// URLs",
                field=f"{field}.{item.name}",
                hint=f"it is for {' and '.join(name for name, it in KINDS.items() if it in kinds)} URLs",
            )
