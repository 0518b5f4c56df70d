"""Secrets have no place in the configuration of a collection: it is copied, shown and kept with the data."""

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, Final

from rasterflight_server.errors import ConfigError

# Words of a key, between '_', '-' and capitals: "aws_secret_access_key", "sasToken".
_WORDS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_SECRET: Final = frozenset(
    {"secret", "password", "passwd", "passphrase", "token", "credential", "credentials", "apikey", "authorization"}
    | {"bearer", "sas", "signature", "cookie"}
)
_PAIRS: Final = frozenset({("access", "key"), ("api", "key"), ("account", "key"), ("private", "key")})
_QUERY: Final = re.compile(
    r"[?&](sig|signature|token|sas|key|api_?key|access_?token|x-amz-(?:signature|credential))=", re.IGNORECASE
)
_HINT: Final = "take it out, and give it to the server by its environment (AWS_SECRET_ACCESS_KEY and the like)"


def refuse_secrets(values: Mapping[str, Any], origin: str) -> None:
    """Look through a whole document.

    Parameters
    ----------
    values
        As ``tomllib`` gives them.
    origin
        What errors call the file.

    Raises
    ------
    ConfigError
        A key looks like that of a secret, or a URL carries one. The secret is not in the message.
    """
    for place, key, value in _walk(values, ""):
        # The keys of tables are names: of bands, of places.
        if not isinstance(value, Mapping) and _is_secret(key):
            raise ConfigError(f"{origin}: {place}: looks like a secret", field=place, hint=_HINT)
        if any(_carries_secret(text) for text in (key, value) if isinstance(text, str)):
            where = place if not _carries_secret(key) else place.rpartition(".")[0] or "a key"
            raise ConfigError(f"{origin}: {where}: a URL carries a secret", field=where, hint=_HINT)


def _walk(value: Any, place: str) -> Iterator[tuple[str, str, Any]]:
    """Each key with its place and value; members of a list count under the key of the list."""
    entries = value.items() if isinstance(value, Mapping) else ()
    for key, inner in entries:
        at = f"{place}.{key}" if place else key
        yield at, key, inner
        yield from _walk(inner, at)
    if isinstance(value, list):
        for number, inner in enumerate(value):
            at = f"{place}[{number}]"
            if isinstance(inner, str):
                yield at, "", inner
            yield from _walk(inner, at)


def _is_secret(key: str) -> bool:
    words = [word.lower() for word in _WORDS.findall(key)]
    if words[-1:] in (["env"], ["file"]):
        return False  # says where the secret is
    return not _SECRET.isdisjoint(words) or not _PAIRS.isdisjoint(pairwise(words))


def _carries_secret(text: str) -> bool:
    scheme, separator, rest = text.partition("://")
    if not separator:
        return False
    user, at, _ = rest.partition("/")[0].rpartition("@")
    # abfs://container@account/ is no secret.
    return bool(at and (":" in user or scheme.lower().startswith("http"))) or _QUERY.search(rest) is not None
