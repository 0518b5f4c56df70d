"""What is said when a store refuses: a gate answers with what the documentation of each store says it answers with."""

import pytest

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError
from rasterflight_server.store import StorageOptions, Stores
from support.gate import Answer, Gate

KEYS = {"AWS_ACCESS_KEY_ID": "us", "AWS_SECRET_ACCESS_KEY": "hush", "AZURE_STORAGE_ACCOUNT_KEY": "aHVzaA=="}
#: Storage options of each kind; with credentials, over the gate.
OPTIONS = {
    "s3://buck/": {},
    "gs://buck/": {"token_env": "RF_TEST_TOKEN"},
    "az://buck/": {"account": "acc"},
}


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (KEYS | {"RF_TEST_TOKEN": "hush"}).items():
        monkeypatch.setenv(name, value)


def refused(prefix: str, answer: Answer, **said: object) -> SourceError:
    """The error for a file whose store answers so."""
    with Gate(rule=lambda _: answer) as gate:
        if prefix.startswith("http"):
            href, options = f"{gate.url}/d/a.tif", {gate.url: StorageOptions(allow_http=True, **said)}
        else:
            own = OPTIONS[prefix] if not said.get("anonymous") else {"account": OPTIONS[prefix].get("account")}
            options = {prefix: StorageOptions(**{"endpoint": gate.url, "allow_http": True, **own, **said})}
            href = f"{prefix}d/a.tif"
        with pytest.raises(SourceError) as caught, Stores(options).open(href) as source:
            source.read_range(0, 10)
        # A rule is not asked again: none of these answers gets better.
        assert len(gate.requests) == 1 + (answer.status in (301, 307))
    for secret in ("hush", "aHVz", "d/a.tif", "Bearer"):
        assert secret not in str(caught.value)
    return caught.value


NO_WORDS = "the store refuses the file (HTTP 401 or 403)"
DENIED = "the store refuses the file (AccessDenied)"
ENDED = "the credentials that the server has for the store have run out"
UNKNOWN = "the store does not know the credentials of the server"
MAY_READ = "check that the account of the server may read the file"
S3_PAYS = 'requester pays: set storage."s3://buck/".requester_pays = true'
GS_PAYS = 'requester pays: set storage."gs://buck/".billing_project = the project that pays'
S3_PUBLIC = 'public: set storage."s3://buck/".anonymous = true'


@pytest.mark.parametrize(
    ("prefix", "said", "status", "code", "message", "hint"),
    [
        ("s3://buck/", {}, 403, "AccessDenied", DENIED, f"{MAY_READ}; {S3_PAYS}; {S3_PUBLIC}"),
        ("s3://buck/", {"requester_pays": True}, 403, "AccessDenied", DENIED, MAY_READ),
        (
            "s3://buck/",
            {"anonymous": True},
            403,
            "AccessDenied",
            DENIED,
            "give the server credentials, and leave anonymous out of the storage options",
        ),
        ("s3://buck/", {}, 403, "Whatever", NO_WORDS, f"{MAY_READ}; {S3_PAYS}; {S3_PUBLIC}"),
        (
            "s3://buck/",
            {},
            400,
            "ExpiredToken",
            ENDED,
            "give the server new ones, or let it use such that renew themselves: a role of its machine, or profile",
        ),
        (
            "s3://buck/",
            {},
            403,
            "InvalidAccessKeyId",
            UNKNOWN,
            "check the access key, the secret and the session token in its environment, or the profile",
        ),
        (
            "s3://buck/",
            {},
            403,
            "RequestTimeTooSkewed",
            "the clock of the server is wrong by minutes, says the store",
            "set it by NTP",
        ),
        (
            "s3://buck/",
            {},
            403,
            "InvalidObjectState",
            "the file is in an archive tier of the store",
            "have the store restore it first",
        ),
        (
            "gs://buck/",
            {"token_env": None, "anonymous": True},
            400,
            "UserProjectMissing",
            "the reader has to pay for the bucket of the file",
            GS_PAYS,
        ),
        (
            "gs://buck/",
            {"billing_project": "ours"},
            403,
            "UserProjectAccessDenied",
            "the account of the server may not charge the billing_project",
            "give it the role serviceusage.serviceUsageConsumer in that project",
        ),
        ("gs://buck/", {}, 401, "", NO_WORDS, "the token that the server has for the store may have run out"),
        (
            "az://buck/",
            {},
            403,
            "AuthenticationFailed",
            f"{UNKNOWN} (AuthenticationFailed)",
            "check the account key or the signature, and the clock of the server",
        ),
        (
            "az://buck/",
            {"anonymous": True},
            409,
            "PublicAccessNotPermitted",
            "the storage account lets nobody in without credentials",
            "give the server credentials, and leave anonymous out of the storage options",
        ),
        ("http", {}, 401, "", NO_WORDS, "a signed URL may have run out: index the collection again with fresh ones; "),
        ("http", {"token_env": "RF_TEST_TOKEN"}, 401, "", NO_WORDS, "the token that the server has for the store may"),
    ],
)
def test_words(prefix: str, said: dict[str, object], status: int, code: str, message: str, hint: str) -> None:
    error = refused(prefix, Answer.refusal(status, code, "hush"), **said)
    assert (error.code, error.message) == (ErrorCode.SOURCE_FORBIDDEN, message)
    assert error.hint.startswith(hint)
    assert prefix == "http" or error.hint == hint


@pytest.mark.parametrize(
    ("prefix", "answer"),
    [
        ("http", Answer.refusal(403, "AccessDenied", "Request has expired")),
        (
            "http",
            Answer.refusal(403, "AuthenticationFailed", "Signature not valid in the specified time frame: Start [x]"),
        ),
    ],
)
def test_signatures_that_ran_out(prefix: str, answer: Answer) -> None:
    error = refused(prefix, answer)
    assert (error.code, error.message) == (ErrorCode.SOURCE_FORBIDDEN, "the signature of the URL has run out")
    assert "signing in the storage options" in error.hint


class TestRegions:
    @staticmethod
    def redirect(region: str) -> Answer:
        return Answer.refusal(301, "PermanentRedirect", x_amz_bucket_region=region)

    def test_of_a_redirect(self) -> None:
        error = refused("s3://buck/", self.redirect("eu-central-1"))
        assert error.code is ErrorCode.SOURCE_NOT_FOUND
        assert error.message == "the bucket of the file is in another region: eu-central-1"
        assert error.hint == 'set storage."s3://buck/".region = "eu-central-1"'

    @pytest.mark.parametrize("region", ["", "<hush>", "x" * 100])
    def test_that_the_store_does_not_tell(self, region: str) -> None:
        error = refused("s3://buck/", self.redirect(region))
        assert error.message == "the bucket of the file is in another region"
        assert error.hint == 'set storage."s3://buck/".region = its region'

    def test_of_a_signature_for_another(self) -> None:
        body = b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>us-west-2</Region></Error>"
        error = refused("s3://buck/", Answer(400, body))
        assert error.hint == 'set storage."s3://buck/".region = "us-west-2"'

    def test_asked_once_a_bucket_without_credentials(self) -> None:
        with Gate(rule=lambda _: self.redirect("eu-north-1")) as gate:
            stores = Stores({"s3://": StorageOptions(endpoint=gate.url, allow_http=True)})
            for name in "abc":
                with pytest.raises(SourceError, match="eu-north-1"), stores.open(f"s3://buck/{name}.tif") as source:
                    source.read_range(0, 10)
            asked = [request for request in gate.requests if request.method == "HEAD"]
        assert [request.path for request in asked] == ["/buck"]
        assert "authorization" not in asked[0].headers


def test_the_bucket_in_the_name_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = Answer(206, b"0123456789", {"Content-Range": "bytes 0-9/10", "ETag": '"1"', "Last-Modified": DATE})
    with Gate(rule=lambda _: answer) as gate:
        # No name below the loopback's need be known: a proxy is told the whole URL.
        monkeypatch.setenv("HTTP_PROXY", gate.url)
        options = StorageOptions(endpoint="http://store.test:90/", virtual_hosted=True, allow_http=True)
        with Stores({"s3://": options}).open("s3://buck/a.tif") as source:
            assert bytes(source.read_range(0, 10)) == b"0123456789"
    assert [asked.path for asked in gate.requests] == ["http://buck.store.test:90/a.tif"]


DATE = "Wed, 01 Jan 2025 00:00:00 GMT"
