"""Connections to stores, made as their options say."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

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
#: obstore asks a provider again five minutes before the end, and then at most ten times a second: boto3 keeps credentials itself,
#: and knows better when they end.
_PROFILE_TTL: Final = timedelta(minutes=5)


def connect(place: Place, options: StorageOptions, authorization: str | None, *, retries: int = 0) -> "Connection":
    """Make the connections to a store, which all its files share; safe to use from many threads.

    Redirects are followed to http and https alone; credentials go to no other host.

    Parameters
    ----------
    authorization
        See ``read_authorization``.
    retries
        How often the connections themselves ask again after 408, 429, 5xx and resets. Reads do better, see ``Tries``: they notice
        when nobody waits any more, and what is wrong with an answer.

    Raises
    ------
    SourceError
        SOURCE_FORBIDDEN or SOURCE_NOT_FOUND: the options and the URL do not make a store.
    """
    http = place.kind == "http"
    secret, url = (authorization is not None, place.name) if http else (not options.anonymous, options.endpoint)
    if secret and url is not None and not options.allow_http and not url.lower().startswith("https://"):
        raise unencrypted()
    client = _client(options, authorization, allow_http=http)
    retry = _retry(retries)
    try:
        match place.kind:
            case "http":
                return HTTPStore(place.name, client_options=client, retry_config=retry)
            case "s3":
                return _s3(place, options, client, retry)
            case "gs":
                return _gs(place, options, client, retry, signed=authorization is not None)
            case "az":
                return _azure(place, options, client, retry)
    except (BaseError, ValueError) as error:
        if "CA certificates" in str(error):
            raise _no_way_in(
                "the machine of the server has no certificates to trust",
                "install its package ca-certificates, or say ca_file = ... in the storage options",
            ) from None
        raise unusable() from None


def _s3(place: Place, options: StorageOptions, client: "ClientConfig", retry: "RetryConfig") -> S3Store:
    endpoint = options.endpoint
    if options.virtual_hosted and endpoint is not None:
        parts = urlsplit(endpoint.rstrip("/"))
        endpoint = parts._replace(netloc=f"{place.name}.{parts.netloc}").geturl()
    return S3Store(
        place.name,
        config=_given(
            region=options.region,
            endpoint=endpoint,
            virtual_hosted_style_request=options.virtual_hosted,
            skip_signature=options.anonymous,
            request_payer=options.requester_pays,
        ),
        credential_provider=_profile(options.profile) if options.profile is not None else None,
        client_options=client,
        retry_config=retry,
    )


def _profile(name: str) -> "S3CredentialProvider":
    try:
        import boto3
        from botocore.exceptions import BotoCoreError
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError:
        raise _no_way_in("profiles of the AWS configuration need boto3", 'pip install "rasterflight[aws]"') from None
    try:
        return Boto3CredentialProvider(boto3.Session(profile_name=name), ttl=_PROFILE_TTL)
    except (BotoCoreError, ValueError):
        raise _no_way_in(
            f"the AWS configuration has no usable profile {name!r}", "see: aws configure list-profiles"
        ) from None


def _gs(
    place: Place, options: StorageOptions, client: "ClientConfig", retry: "RetryConfig", *, signed: bool
) -> GCSStore:
    return GCSStore(
        place.name,
        config=_given(base_url=options.endpoint, skip_signature=options.anonymous or signed),
        client_options=client,
        retry_config=retry,
    )


def _azure(place: Place, options: StorageOptions, client: "ClientConfig", retry: "RetryConfig") -> AzureStore:
    signed = options.signing is not None
    return AzureStore(
        place.name,
        config=_given(account_name=place.account, endpoint=options.endpoint, skip_signature=options.anonymous),
        credential_provider=SasTokens(options.signing_url, place.account, place.name) if signed else None,
        client_options=client,
        retry_config=retry,
    )


def _given(**config: str | bool | None) -> Any:
    """What options say; the rest is left to the environment."""
    return {name: value for name, value in config.items() if value}


def _client(options: StorageOptions, authorization: str | None, *, allow_http: bool) -> "ClientConfig":
    patience = options.patience
    client: ClientConfig = {
        "allow_http": allow_http or options.allow_http or options.anonymous,
        "connect_timeout": timedelta(seconds=min(_CONNECT_SECONDS, patience.timeout)),
        "read_timeout": timedelta(seconds=patience.timeout),
        "timeout": timedelta(seconds=patience.whole_timeout),
    }
    headers = {"Authorization": authorization, "x-goog-user-project": options.billing_project}
    if any(headers.values()):
        client["default_headers"] = {name: value for name, value in headers.items() if value is not None}
    if options.ca_file is not None:
        try:
            client["root_certificate"] = Path(options.ca_file).expanduser().read_bytes()
        except OSError as error:
            raise _no_way_in(
                f"the ca_file of the storage options cannot be read: {error.strerror}",
                "the operator of the server can mend it",
            ) from None
    return client


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
