"""Stores by URL and options, against a web server that answers as those stores do; S3 has a real server elsewhere."""

import json
import pickle
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError
from rasterflight_server.store import StorageOptions, Stores, is_remote, read_whole
from rasterflight_server.store.places import locate
from support.http_server import FileServer
from support.web import WebServer

BYTES = bytes(range(256)) * 16


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a b.tif").write_bytes(BYTES)
    with FileServer(tmp_path) as server:
        yield server


def read(href: str, stores: Stores) -> bytes:
    with stores.open(href) as source:
        assert source.remote
        return bytes(source.read_range(10, 20))


def refused(href: str, stores: Stores) -> SourceError:
    with pytest.raises(SourceError) as caught:
        read(href, stores)
    for secret in ("127.0.0.1", "a b.tif", "hush"):
        assert secret not in str(caught.value)
    return caught.value


class TestKinds:
    """Each URL goes where the documentation of its store says."""

    @pytest.mark.parametrize(
        ("href", "path"),
        [
            ("s3://buck/d/a b.tif", "/buck/d/a%20b.tif"),
            ("S3A://buck/d/a b.tif", "/buck/d/a%20b.tif"),
            ("gs://buck/d/a b.tif", "/buck/d%2Fa%20b%2Etif"),
            ("az://buck/d/a b.tif", "/buck/d/a%20b.tif"),
            ("abfs://buck@acc.dfs.core.windows.net/d/a b.tif", "/buck/d/a%20b.tif"),
        ],
    )
    def test_reads(self, server: FileServer, href: str, path: str) -> None:
        (server.root / "buck").symlink_to(server.root)
        options = StorageOptions(endpoint=server.url, anonymous=True)
        az = StorageOptions(endpoint=server.url, anonymous=True, account="acc")
        stores = Stores(
            {"s3://buck": options, "s3a://buck": options, "gs://buck": options, "az://buck": az, "abfs://": options}
        )
        assert is_remote(href)
        assert read(href, stores) == BYTES[10:30]
        [request] = server.requests
        assert (request.method, request.path, request.range) == ("GET", path, "bytes=10-29")
        assert "authorization" not in request.headers

    @pytest.mark.parametrize(
        "href",
        ["s3://", "s3://buck", "s3://buck/", "s3:///key", "s3://buck/a//b.tif", "gs://buck/../b", "az://buck/d/"],
    )
    def test_urls_without_a_file(self, href: str) -> None:
        error = refused(href, Stores())
        assert error.code is ErrorCode.SOURCE_NOT_FOUND
        assert error.message == "the URL of the file cannot be used"

    def test_an_account_is_needed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
        assert refused("az://buck/a.tif", Stores()).code is ErrorCode.SOURCE_NOT_FOUND

    def test_blobs_by_https_are_plain_https(self, server: FileServer) -> None:
        stores = Stores({"https://acc.blob.core.windows.net/": StorageOptions(rewrite=server.url)})
        assert read("https://acc.blob.core.windows.net/d/a%20b.tif?sig=hush", stores) == BYTES[10:30]
        assert server.requests[0].path == "/d/a%20b.tif?sig=hush"

    def test_requester_pays(self, server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "us")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
        (server.root / "buck").symlink_to(server.root)
        pays = StorageOptions(endpoint=server.url, allow_http=True, requester_pays=True)
        bills = StorageOptions(endpoint=server.url, anonymous=True, billing_project="ours")
        stores = Stores({"s3://buck": pays, "gs://buck": bills})
        read("s3://buck/d/a b.tif", stores)
        read("gs://buck/d/a b.tif", stores)
        s3, gs = server.requests
        assert s3.headers["x-amz-request-payer"] == "requester"
        assert s3.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=us/")
        assert gs.headers["x-goog-user-project"] == "ours"

    @pytest.mark.parametrize("prefix", ["gs://buck", "az://buck"])
    def test_hints_of_refusals(self, server: FileServer, prefix: str) -> None:
        server.faults.status["/buck/d/a b.tif"] = 403
        account = "acc" if prefix.startswith("az") else None
        options = StorageOptions(endpoint=server.url, anonymous=True, account=account)
        error = refused(f"{prefix}/d/a b.tif", Stores({prefix: options}))
        assert error.code is ErrorCode.SOURCE_FORBIDDEN
        assert error.hint == "give the server credentials, and leave anonymous out of the storage options"


@pytest.mark.parametrize(
    ("url", "options", "listed"),
    [
        ("s3a://buck/d", StorageOptions(), "s3a://buck/d/a b.tif"),
        ("az://buck/d/", StorageOptions(account="acc"), "az://buck/d/a b.tif"),
        ("abfs://buck@acc.dfs.core.windows.net", StorageOptions(), "abfs://buck@acc.dfs.core.windows.net/d/a b.tif"),
        (
            "https://acc.blob.core.windows.net/buck/d?sig=old",
            StorageOptions(signing="planetary-computer"),
            "https://acc.blob.core.windows.net/buck/d/a%20b.tif",
        ),
    ],
)
def test_listings_name_files_as_their_prefix_is_named(url: str, options: StorageOptions, listed: str) -> None:
    place, _ = locate(url, options)
    assert place.url(url, "d/a b.tif") == listed
    assert locate(listed, options) == (place, "d/a b.tif")


class TestPrefixes:
    def test_the_longest_holds(self, server: FileServer) -> None:
        (server.root / "buck").symlink_to(server.root)
        there = StorageOptions(endpoint=server.url, anonymous=True)
        nowhere = StorageOptions(endpoint="http://127.0.0.1:1", anonymous=True, allow_http=True)
        stores = Stores({"s3://": nowhere, "s3://buck": nowhere, "s3://buck/d/": there, "s3://buck/d/a": nowhere})
        assert read("s3://buck/d/a b.tif", stores) == BYTES[10:30]

    def test_a_prefix_ends_with_a_part_of_the_url(self, server: FileServer) -> None:
        (server.root / "buck-2").symlink_to(server.root)
        stores = Stores(
            {
                "s3://": StorageOptions(endpoint=server.url, anonymous=True),
                "s3://buck": StorageOptions(endpoint="http://127.0.0.1:1", anonymous=True),
            }
        )
        assert read("s3://buck-2/d/a b.tif", stores) == BYTES[10:30]

    def test_schemes_and_hosts_in_any_case(self, server: FileServer) -> None:
        stores = Stores({"HTTPS://Host.Example/x": StorageOptions(rewrite=f"{server.url}/d")})
        assert read("https://HOST.example/x/a%20b.tif", stores) == BYTES[10:30]

    def test_rewrites_to_a_bucket(self, server: FileServer) -> None:
        (server.root / "buck").symlink_to(server.root)
        stores = Stores(
            {
                "https://buck.s3.us-west-2.amazonaws.com": StorageOptions(rewrite="s3://buck/"),
                "s3://buck/": StorageOptions(endpoint=server.url, anonymous=True),
            }
        )
        assert read("https://buck.s3.us-west-2.amazonaws.com/d/a%20b.tif?x=1", stores) == BYTES[10:30]
        assert server.requests[0].path == "/buck/d/a%20b.tif"

    def test_options_beside_a_rewrite_hold_where_the_new_prefix_has_none(self, server: FileServer) -> None:
        (server.root / "buck").symlink_to(server.root)
        options = StorageOptions(rewrite="s3://buck/", endpoint=server.url, anonymous=True)
        assert read("https://host/d/a%20b.tif", Stores({"https://host/": options})) == BYTES[10:30]

    def test_they_go_to_other_processes(self, server: FileServer) -> None:
        stores = Stores({"s3://buck/": StorageOptions(rewrite=server.root.as_uri())})
        stores.open("s3://buck/d/a b.tif").close()
        assert read_whole("s3://buck/d/a b.tif", pickle.loads(pickle.dumps(stores))) == BYTES

    def test_rewrites_to_local_files(self, server: FileServer) -> None:
        stores = Stores({"s3://buck/": StorageOptions(rewrite=server.root.as_uri())})
        assert read_whole("s3://buck/d/a b.tif", stores) == BYTES
        assert server.requests == []

    def test_one_connection_a_store(self, server: FileServer) -> None:
        stores = Stores()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: read(f"{server.url}/d/a%20b.tif", stores), range(40)))
        assert stores._connect.cache_info().currsize == 1
        assert len(server.requests) == 40


class TestTokens:
    @pytest.fixture
    def href(self, server: FileServer) -> str:
        return f"{server.url}/d/a%20b.tif"

    def test_of_the_environment(self, server: FileServer, href: str, monkeypatch: pytest.MonkeyPatch) -> None:
        stores = Stores({server.url: StorageOptions(token_env="RF_TEST_TOKEN", allow_http=True)})
        error = refused(href, stores)
        assert error.code is ErrorCode.SOURCE_FORBIDDEN
        assert error.message == "the environment variable RF_TEST_TOKEN holds no token for the store of the file"
        monkeypatch.setenv("RF_TEST_TOKEN", "hush-1")
        assert read(href, stores) == BYTES[10:30]
        assert server.requests[-1].headers["authorization"] == "Bearer hush-1"
        assert "hush" not in repr(stores)

    def test_of_a_file_that_changes(self, server: FileServer, href: str, tmp_path: Path) -> None:
        file = tmp_path / "token"
        stores = Stores({server.url: StorageOptions(token_file=str(file), allow_http=True)})
        assert refused(href, stores).message == "the token file holds no token for the store of the file"
        for token in ("hush-1", "hush-2"):
            file.write_text(f"{token}\n")
            read(href, stores)
            assert server.requests[-1].headers["authorization"] == f"Bearer {token}"

    def test_refused(self, server: FileServer, href: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RF_TEST_TOKEN", "hush")
        server.faults.status["/d/a b.tif"] = 401
        error = refused(href, Stores({server.url: StorageOptions(token_env="RF_TEST_TOKEN", allow_http=True)}))
        assert error.code is ErrorCode.SOURCE_FORBIDDEN
        assert error.hint == "the token that the server has for the store may have run out"

    def test_not_without_encryption(self, server: FileServer, href: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RF_TEST_TOKEN", "hush")
        error = refused(href, Stores({server.url: StorageOptions(token_env="RF_TEST_TOKEN")}))
        assert error.code is ErrorCode.SOURCE_FORBIDDEN
        assert error.message == "the credentials of the store may not be sent without encryption"
        assert server.requests == []

    def test_go_to_no_other_host(self, server: FileServer, href: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RF_TEST_TOKEN", "hush")
        with FileServer(server.root) as other:
            server.faults.redirect["/d/a b.tif"] = f"{other.url}/d/a%20b.tif?sig=1"
            stores = Stores({server.url: StorageOptions(token_env="RF_TEST_TOKEN", allow_http=True)})
            assert read(href, stores) == BYTES[10:30]
            assert "authorization" in server.requests[-1].headers
            assert "authorization" not in other.requests[-1].headers


class _Signer:
    """Hands out signatures as the Planetary Computer does: sig=1, sig=2 ..."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.seconds = 3600
        self.status = 200
        signer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                signer.asked.append(self.path)
                expiry = datetime.now(UTC) + timedelta(seconds=signer.seconds)
                answer = {
                    "msft:expiry": expiry.strftime("%Y-%m-%dT%H:%M:%SZ"),
                    "token": f"sv=1&sig={len(signer.asked)}%2B",
                }
                body = json.dumps(answer).encode()
                self.send_response(signer.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args) -> None:
                pass

        self._server = WebServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/token"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class TestSigning:
    HREF = "https://acc.blob.core.windows.net/buck/d/a%20b.tif"

    @pytest.fixture
    def signer(self) -> Iterator[_Signer]:
        signer = _Signer()
        yield signer
        signer.close()

    @pytest.fixture
    def stores(self, server: FileServer, signer: _Signer) -> Stores:
        (server.root / "buck").symlink_to(server.root)
        options = StorageOptions(
            signing="planetary-computer", signing_url=signer.url, endpoint=server.url, allow_http=True, account=None
        )
        return Stores({"https://acc.blob.core.windows.net/": options, "abfs://": options})

    @pytest.mark.parametrize("href", [HREF, f"{HREF}?sig=old", "abfs://buck@acc.dfs.core.windows.net/d/a b.tif"])
    def test_signs(self, server: FileServer, signer: _Signer, stores: Stores, href: str) -> None:
        for _ in range(3):
            assert read(href, stores) == BYTES[10:30]
        assert signer.asked == ["/token/acc/buck"]
        assert {request.path for request in server.requests} == {"/buck/d/a%20b.tif?sv=1&sig=1%2B"}

    def test_renews_before_the_end(self, server: FileServer, signer: _Signer, stores: Stores) -> None:
        signer.seconds = 60
        for _ in range(2):
            read(self.HREF, stores)
            time.sleep(0.2)  # obstore asks at most ten times a second
        assert [request.path.partition("&")[2] for request in server.requests] == ["sig=1%2B", "sig=2%2B"]

    def test_no_signature(self, server: FileServer, signer: _Signer, stores: Stores) -> None:
        signer.status = 500
        error = refused(self.HREF, stores)
        assert error.code is ErrorCode.SOURCE_UNAVAILABLE
        assert error.message == "no access to the file was to be had from the service that grants it"
        assert server.requests == []

    def test_other_hosts_are_not_signed(self, stores: Stores, signer: _Signer) -> None:
        options = StorageOptions(signing="planetary-computer", signing_url=signer.url)
        error = refused("https://host/buck/a.tif", Stores({"https://host/": options}))
        assert error.message == "the URL of the file cannot be used"
        assert signer.asked == []
