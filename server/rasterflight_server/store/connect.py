"""Connections to stores, made as their options say."""

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, HTTPStore, S3Store

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError
from rasterflight_server.store.options import StorageOptions
from rasterflight_server.store.places import Place, unusable
from rasterflight_server.store.refusals import unencrypted
from rasterflight_server.store.retrying import PATIENCE
from rasterflight_server.store.signing import SasTokens

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3CredentialProvider

    Connection = AzureStore | GCSStore | HTTPStore | S3Store

_CONNECT_SECONDS: Final = 4.0


def connect(place: Place, options: StorageOptions, token: str | None, *, retries: int = 0) -> "Connection":
    """Make the connections to a store, which all its files share; safe to use from many threads.

    Parameters
    ----------
    token
        Bearer token, see ``read_token``.
    retries
        How often the connections themselves ask again after 408, 429, 5xx and resets. Reads do better, see ``Tries``: they notice
        when nobody waits any more, and what is wrong with an answer.

    Raises
    ------
    SourceError
        SOURCE_FORBIDDEN or SOURCE_NOT_FOUND: the options and the URL do not make a store.
    """
    secret, url = (token is not None, place.name) if place.kind == "http" else (not options.anonymous, options.endpoint)
    if secret and url is not None and not options.allow_http and not url.lower().startswith("https://"):
        raise unencrypted()
    try:
        match place.kind:
            case "http":
                return _http(place, options, token, retries)
            case "s3":
                return _s3(place, options, retries)
            case "gs":
                return _gs(place, options, retries)
            case "az":
                return _azure(place, options, retries)
    except (BaseError, ValueError):
        raise unusable() from None


def read_token(options: StorageOptions) -> str | None:
    """The bearer token that options point to, as it is now.

    Raises
    ------
    SourceError
        SOURCE_FORBIDDEN: there is none.
    """
    if options.token_env is not None:
        token = os.environ.get(options.token_env, "").strip()
        where = f"the environment variable {options.token_env}"
    elif options.token_file is not None:
        try:
            token = Path(options.token_file).expanduser().read_text().strip()
        except (OSError, ValueError):
            token = ""
        where = "the token file"
    else:
        return None
    if not token.isprintable() or not token:
        raise _no_way_in(f"{where} holds no token for the store of the file", "the operator of the server can mend it")
    return token


def _http(place: Place, options: StorageOptions, token: str | None, retries: int) -> HTTPStore:
    client = _client(options, allow_http=True)
    if token is not None:
        client["default_headers"] = {"Authorization": f"Bearer {token}"}
    return HTTPStore(place.name, client_options=client, retry_config=_retry(retries))


def _s3(place: Place, options: StorageOptions, retries: int) -> S3Store:
    return S3Store(
        place.name,
        config=_given(
            region=options.region,
            endpoint=options.endpoint,
            skip_signature=options.anonymous,
            request_payer=options.requester_pays,
        ),
        credential_provider=_profile(options.profile) if options.profile is not None else None,
        client_options=_client(options),
        retry_config=_retry(retries),
    )


def _profile(name: str) -> "S3CredentialProvider":
    try:
        import boto3
        from botocore.exceptions import BotoCoreError
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError:
        raise _no_way_in("profiles of the AWS configuration need boto3", 'pip install "rasterflight[aws]"') from None
    try:
        return Boto3CredentialProvider(boto3.Session(profile_name=name))
    except (BotoCoreError, ValueError):
        raise _no_way_in(
            f"the AWS configuration has no usable profile {name!r}", "see: aws configure list-profiles"
        ) from None


def _gs(place: Place, options: StorageOptions, retries: int) -> GCSStore:
    client = _client(options)
    if options.billing_project is not None:
        client["default_headers"] = {"x-goog-user-project": options.billing_project}
    return GCSStore(
        place.name,
        config=_given(base_url=options.endpoint, skip_signature=options.anonymous),
        client_options=client,
        retry_config=_retry(retries),
    )


def _azure(place: Place, options: StorageOptions, retries: int) -> AzureStore:
    signed = options.signing is not None
    return AzureStore(
        place.name,
        config=_given(account_name=place.account, endpoint=options.endpoint, skip_signature=options.anonymous),
        credential_provider=SasTokens(options.signing_url, place.account, place.name) if signed else None,
        client_options=_client(options),
        retry_config=_retry(retries),
    )


def _given(**config: str | bool | None) -> Any:
    """What options say; the rest is left to the environment."""
    return {name: value for name, value in config.items() if value}


def _client(options: StorageOptions, *, allow_http: bool = False) -> "ClientConfig":
    patience = options.patience
    return {
        "allow_http": allow_http or options.allow_http or options.anonymous,
        "connect_timeout": timedelta(seconds=min(_CONNECT_SECONDS, patience.timeout)),
        "read_timeout": timedelta(seconds=patience.timeout),
        "timeout": timedelta(seconds=patience.whole_timeout),
    }


def _retry(retries: int) -> "RetryConfig":
    return {
        "max_retries": retries,
        "retry_timeout": timedelta(seconds=PATIENCE.seconds),
        "backoff": {
            "init_backoff": timedelta(seconds=PATIENCE.pause),
            "max_backoff": timedelta(seconds=PATIENCE.longest_pause),
            "base": 2,
        },
    }


def _no_way_in(message: str, hint: str) -> SourceError:
    return SourceError(ErrorCode.SOURCE_FORBIDDEN, message, hint=hint)
