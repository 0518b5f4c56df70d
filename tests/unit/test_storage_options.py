import pytest

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.store import StorageOptions, Stores
from rasterflight_server.store.retrying import Patience

FIELD = 'storage."s3://bucket/"'


def refused(mapping: dict[str, object]) -> RequestError:
    with pytest.raises(RequestError) as caught:
        StorageOptions.parse(mapping, FIELD)
    assert caught.value.code is ErrorCode.BAD_REQUEST
    return caught.value


def test_takes_what_toml_gives() -> None:
    options = StorageOptions.parse({"anonymous": True, "region": "us-west-2"}, FIELD)
    assert options == StorageOptions(anonymous=True, region="us-west-2")
    assert StorageOptions.parse({}, FIELD) == StorageOptions()


def test_how_often_a_store_is_asked_again() -> None:
    assert StorageOptions.parse({"retries": 0, "timeout": 30}, FIELD).patience == Patience(retries=0, timeout=30)
    assert StorageOptions().patience == Patience()


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("anonymus", "did you mean 'anonymous'?"),
        ("requester-pays", "did you mean 'requester_pays'?"),
        ("zzz", "there are: anonymous, region, endpoint, "),
        ("aws_secret_access_key", "secrets do not belong into a configuration: set the variables"),
        ("sas_token", "secrets do not belong into a configuration"),
    ],
)
def test_unknown_names(name: str, hint: str) -> None:
    error = refused({name: "hush"})
    assert error.message == f"there is no storage option {name!r}"
    assert error.field == f"{FIELD}.{name}"
    assert hint in error.hint
    assert "hush" not in str(error)


@pytest.mark.parametrize(
    ("mapping", "field", "message"),
    [
        ({"anonymous": "yes"}, ".anonymous", "anonymous is true or false, not 'yes'"),
        ({"region": 7}, ".region", "region is text, not 7"),
        ({"region": ""}, ".region", "region is text, not ''"),
        ({"retries": True}, ".retries", "retries is a whole number, not True"),
        ({"retries": 1.5}, ".retries", "retries is a whole number, not 1.5"),
        ({"retries": -1}, ".retries", "retries is -1"),
        ({"retries": 21}, ".retries", "retries is 21"),
        ({"timeout": "1s"}, ".timeout", "timeout is a number, not '1s'"),
        ({"timeout": 0}, ".timeout", "timeout is 0"),
        ({"timeout": float("nan")}, ".timeout", "timeout is nan"),
        ({"signing": "aws"}, ".signing", "there is no signing 'aws'"),
        ({"anonymous": True, "profile": "work"}, "", "anonymous and profile exclude each other"),
        ({"anonymous": True, "requester_pays": True}, "", "anonymous and requester_pays exclude each other"),
        ({"token_env": "A", "token_file": "b"}, "", "token_env and token_file exclude each other"),
        ({"rewrite": "bucket"}, ".rewrite", "'bucket' is no prefix of URLs"),
        ({"rewrite": "s3://b?x=1"}, ".rewrite", "'s3://b?x=1' is no prefix of URLs"),
        ({"token_env": "eyJhbGciOi.hush-hush"}, ".token_env", "token_env is no name of a variable"),
        ({"login_env": "us:hush"}, ".login_env", "login_env is no name of a variable"),
        ({"login_file": "a", "token_file": "b"}, "", "token_file and login_file exclude each other"),
        ({"endpoint": "minio:9000"}, ".endpoint", "the URL cannot be used"),
        ({"endpoint": "https://user:hush@minio"}, ".endpoint", "the URL cannot be used"),
        ({"signing_url": "https://host/token?code=hush"}, ".signing_url", "the URL cannot be used"),
        ({"signing_url": "http://[host"}, ".signing_url", "the URL cannot be used"),
    ],
)
def test_values_that_cannot_be(mapping: dict[str, object], field: str, message: str) -> None:
    error = refused(mapping)
    assert (error.message, error.field) == (message, FIELD + field)
    assert "hush" not in str(error)


@pytest.mark.parametrize("prefix", ["bucket", "ftp://host", "/data", "s3:bucket"])
def test_prefixes_that_are_none(prefix: str) -> None:
    with pytest.raises(RequestError, match="storage options are for prefixes of remote URLs") as caught:
        Stores({prefix: StorageOptions()})
    assert caught.value.field == f'storage."{prefix}"'


@pytest.mark.parametrize(
    ("prefix", "options", "message", "hint"),
    [
        ("https://host/", {"region": "x"}, "region means nothing for https:// URLs", "it is for s3 and s3a URLs"),
        (
            "s3://bucket",
            {"token_env": "T"},
            "token_env means nothing for s3:// URLs",
            "it is for http and https and gs",
        ),
        (
            "https://host/",
            {"rewrite": "s3://b/", "account": "a"},
            "account means nothing for s3:// URLs",
            "it is for az",
        ),
        ("https://host/", {"endpoint": "https://x"}, "endpoint means nothing for https:// URLs", "it is for s3"),
    ],
)
def test_options_that_mean_nothing(prefix: str, options: dict[str, str], message: str, hint: str) -> None:
    with pytest.raises(RequestError) as caught:
        Stores({prefix: StorageOptions.parse(options, "storage")})
    assert caught.value.message == message
    assert caught.value.hint.startswith(hint)
