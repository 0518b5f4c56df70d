"""The same collection in S3, Azure, Google and on web servers, read through a real server: equal pixels, and as many requests.

Each store is a real one on the loopback: SeaweedFS, Azurite, fake-gcs-server, nginx. ``tests/support`` says how they get there.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import rasterio

import rasterflight as rf
from rasterflight_protocol import ErrorCode
from rasterflight_server.catalog.configuration import CONFIGURATION, Configuration
from rasterflight_server.catalog.storage import storage_options
from rasterflight_server.errors import SourceError
from rasterflight_server.ingest import build_index
from rasterflight_server.store import StorageOptions, Stores
from support.azure_server import ACCOUNT, KEY, AzureServer, signature
from support.gate import Answer, Asked, Gate
from support.gcs_server import GcsServer
from support.http_server import FileServer
from support.nginx_server import PASSWORD, USER, NginxServer
from support.s3_server import ACCESS_KEY, OPEN_BUCKET, REGION, SECRET_KEY, S3Server
from support.scenes import write_items
from support.server import ServerProcess

FOLDER = "landsat8-017037-20160503"
BANDS = ["blue", "green", "red"]
TOKEN = "token-of-reader"
SECRETS = {
    "AWS_ACCESS_KEY_ID": ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    "AZURE_STORAGE_ACCOUNT_KEY": KEY,
    "RF_TEST_TOKEN": TOKEN,
    "RF_TEST_LOGIN": f"{USER}:{PASSWORD}",
}
STORES = ["s3", "s3-open", "az", "az-open", "gs", "gs-open", "http", "https", "https-login", "https-token"]


@dataclass(frozen=True)
class Store:
    """Where the collection lies."""

    #: URL of its folder.
    url: str
    #: Options of the store, as TOML.
    options: str
    #: Ranges of the GET requests that came to the store for the collection, sorted.
    gets: Callable[[], list[str]]
    #: Puts a file below the folder.
    put: Callable[[str, bytes], None]

    def stores(self, **options: str | bool) -> Stores:
        """As the server reaches it; with other options."""
        table = Configuration.parse(self.configuration.encode())
        [(prefix, found)] = storage_options({"x": table}).items()
        return Stores({prefix: StorageOptions(**{**_said(found), **options})})

    @property
    def configuration(self) -> str:
        prefix = self.url if self.url.startswith("http") else self.url.rpartition("/")[0]
        return f'[storage."{prefix}/"]\n{self.options}\n'


def _said(options: StorageOptions) -> dict[str, str | bool]:
    return {name: getattr(options, name) for name in StorageOptions.__slots__}


@pytest.fixture(scope="module", autouse=True)
def environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        yield


def bearers(asked: Asked) -> Answer | None:
    """Google's server of the tests knows no credentials; the gate does, for all but the open bucket."""
    if asked.path.startswith("/open") or asked.headers.get("authorization") == f"Bearer {TOKEN}":
        return None
    return Answer.refusal(401, "AuthenticationRequired", "Authentication required.")


@pytest.fixture(scope="module")
def make(
    request: pytest.FixtureRequest, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Store]]:
    """Makes a store by its name; what stands before it counts for it alone."""
    with ExitStack() as running:
        made: dict[str, Store] = {}

        def store(name: str) -> Store:
            if name not in made:
                made[name] = MAKERS[name.partition("-")[0]](request, running, name.partition("-")[2])
                for band in BANDS:
                    made[name].put(f"{band}.tif", (data / FOLDER / f"{band}.tif").read_bytes())
            return made[name]

        yield store


def _s3(request: pytest.FixtureRequest, running: ExitStack, kind: str) -> Store:
    server: S3Server = request.getfixturevalue("s3_server")
    gate = running.enter_context(Gate(server.url))
    bucket = OPEN_BUCKET if kind else "closed"
    how = "anonymous = true" if kind else "allow_http = true\nrequester_pays = true"
    options = f'endpoint = "{gate.url}"\nregion = "{REGION}"\n{how}'
    return Store(f"s3://{bucket}/f", options, gate.gets, lambda key, data: server.put(bucket, f"f/{key}", data))


def _az(request: pytest.FixtureRequest, running: ExitStack, kind: str) -> Store:
    server: AzureServer = request.getfixturevalue("azure_server")
    gate = running.enter_context(Gate(server.url))
    container = kind or "closed"
    server.make(container, public=bool(kind))
    how = "anonymous = true" if kind else "allow_http = true"
    options = f'endpoint = "{gate.url}/{ACCOUNT}"\naccount = "{ACCOUNT}"\n{how}'
    return Store(f"az://{container}/f", options, gate.gets, lambda key, data: server.put(container, f"f/{key}", data))


def _gs(request: pytest.FixtureRequest, running: ExitStack, kind: str) -> Store:
    server: GcsServer = request.getfixturevalue("gcs_server")
    gate = running.enter_context(Gate(server.url, bearers, own_host=True))
    bucket = "open" if kind else "closed"
    server.make(bucket)
    how = "anonymous = true" if kind else 'allow_http = true\ntoken_env = "RF_TEST_TOKEN"\nbilling_project = "ours"'
    options = f'endpoint = "{gate.url}"\n{how}'
    return Store(f"gs://{bucket}/f", options, gate.gets, lambda key, data: server.put(bucket, f"f/{key}", data))


def _web(request: pytest.FixtureRequest, scheme: str, kind: str) -> Store:
    server: NginxServer = request.getfixturevalue("nginx_server")
    server.allow(TOKEN)
    folder, seconds = f"{kind}/{scheme}" if kind else scheme, count(1_700_000_000)

    def put(key: str, data: bytes) -> None:
        path = server.files / folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        # An ETag of nginx is made of size and second.
        os.utime(path, (0, next(seconds)))

    how = f'{kind}_env = "RF_TEST_{kind.upper()}"' if kind else ""
    trust = f'ca_file = "{server.authority}"\n' if scheme == "https" else ""
    return Store(f"{getattr(server, scheme)}/{folder}", trust + how, lambda: server.gets(f"/{folder}/"), put)


MAKERS: dict[str, Callable[[pytest.FixtureRequest, ExitStack, str], Store]] = {
    "s3": _s3,
    "az": _az,
    "gs": _gs,
    "http": lambda request, _, kind: _web(request, "http", kind),
    "https": lambda request, _, kind: _web(request, "https", kind),
}


@pytest.fixture(scope="module")
def server(
    make: Callable[[str], Store], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ServerProcess, dict[str, Store]]]:
    """One server of one collection for each store."""
    root, stores = tmp_path_factory.mktemp("indexes"), {name: make(name) for name in STORES}
    for name, store in stores.items():
        (root / f"{name}.toml").write_text(store.configuration)
        items = write_items(root / "items.json", {"scene": {band: f"{store.url}/{band}.tif" for band in BANDS}})
        report = build_index(items, root / name, name, config=root / f"{name}.toml")
        assert report.failures == ()
    with ServerProcess({name: root / name for name in STORES}, cache_size="0") as process:
        yield process, stores


@pytest.fixture(scope="module")
def wanted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[np.ndarray, list[str]]:
    """Pixels of a local read, and the requests that the tests' own web server gets for it."""
    root = tmp_path_factory.mktemp("local")
    with FileServer(data / FOLDER) as files:
        for name, start in {"local": str(data / FOLDER), "web": files.url}.items():
            items = write_items(root / "items.json", {"scene": {band: f"{start}/{band}.tif" for band in BANDS}})
            build_index(items, root / name, name)
        with rf.local({"local": root / "local", "web": root / "web"}) as client:
            files.requests.clear()
            local, web = (read(client, name) for name in ("local", "web"))
        np.testing.assert_array_equal(local, web)
        return local, sorted(request.range for request in files.requests if request.method == "GET")


@pytest.mark.parametrize("name", STORES)
def test_equal_pixels_and_requests(
    server: tuple[ServerProcess, dict[str, Store]],
    wanted: tuple[np.ndarray, list[str]],
    data: Path,
    name: str,
) -> None:
    process, stores = server
    before = stores[name].gets()
    with rf.connect(process.url) as client:
        found = read(client, name)
    np.testing.assert_array_equal(found, wanted[0])
    asked = stores[name].gets()
    for known in before:
        asked.remove(known)
    assert asked == wanted[1]
    for band, pixels in zip(BANDS, found[0], strict=True):
        with rasterio.open(data / FOLDER / f"{band}.tif") as dataset:
            np.testing.assert_array_equal(pixels, dataset.read(1, window=((30, 230), (40, 260))))
    for secret in SECRETS.values():
        assert secret not in process.log


def read(client: rf.Client, name: str) -> np.ndarray:
    return client.collection(name).get_numpy(windows=[(40, 30, 220, 200)], bands=BANDS)


class TestHeaders:
    """What the stores get to see, beside what they check by themselves."""

    def test_who_pays(self, s3_server: S3Server, gcs_server: GcsServer, make: Callable[[str], Store]) -> None:
        for name, target, header, value in (
            ("s3", s3_server, "x-amz-request-payer", "requester"),
            ("gs", gcs_server, "x-goog-user-project", "ours"),
        ):
            store = make(name)
            rule: Callable[[Asked], Answer | None] = lambda asked, header=header, value=value: (  # noqa: E731
                None if asked.headers.get(header) == value else Answer.refusal(403, "AccessDenied")
            )
            with Gate(target.url, rule, own_host=name == "gs") as gate:
                with store.stores(endpoint=gate.url).open(f"{store.url}/red.tif") as source:
                    assert len(source.read_range(0, 100)) == 100
                other = {"requester_pays": False} if name == "s3" else {"billing_project": None}
                error = refused(store, "red.tif", store.stores(endpoint=gate.url, **other))
            assert (error.code, error.message) == (
                ErrorCode.SOURCE_FORBIDDEN,
                "the store refuses the file (AccessDenied)",
            )
            if name == "s3":
                assert 'requester pays: set storage."s3://closed/".requester_pays = true' in error.hint


def refused(store: Store, key: str, stores: Stores) -> SourceError:
    with pytest.raises(SourceError) as caught, stores.open(f"{store.url}/{key}") as source:
        source.read_range(0, 10)
    for secret in (*SECRETS.values(), "127.0.0.1", "wrong", "sig="):
        assert secret not in str(caught.value)
    assert not any(secret in repr(stores) for secret in SECRETS.values())
    return caught.value


UNKNOWN = "the store does not know the credentials of the server"
NOT_SAID = "the store refuses the file (HTTP 401 or 403)"


class TestRefusals:
    @pytest.mark.parametrize(
        ("name", "variable", "value", "message", "hint"),
        [
            ("s3", "AWS_SECRET_ACCESS_KEY", "wrong", UNKNOWN, "check the access key, the secret"),
            ("s3", "AWS_ACCESS_KEY_ID", "wrong", UNKNOWN, "check the access key, the secret"),
            ("az", "AZURE_STORAGE_ACCOUNT_KEY", "d3Jvbmc=", NOT_SAID, "check that the account of the server may read"),
            ("gs", "RF_TEST_TOKEN", "wrong", NOT_SAID, "the token that the server has for the store may have run out"),
            ("https-token", "RF_TEST_TOKEN", "wrong", NOT_SAID, "the token that the server has for the store may have"),
            ("https-login", "RF_TEST_LOGIN", "us:wrong", NOT_SAID, "check the user and the password"),
        ],
    )
    def test_wrong_credentials(
        self,
        make: Callable[[str], Store],
        monkeypatch: pytest.MonkeyPatch,
        name: str,
        variable: str,
        value: str,
        message: str,
        hint: str,
    ) -> None:
        store = make(name)
        monkeypatch.setenv(variable, value)
        error = refused(store, "red.tif", store.stores())
        assert (error.code, error.message) == (ErrorCode.SOURCE_FORBIDDEN, message)
        assert error.hint.startswith(hint)

    @pytest.mark.parametrize("name", ["s3", "az", "gs", "https-login", "https-token"])
    def test_none(self, make: Callable[[str], Store], name: str) -> None:
        store = make(name)
        none = {"token_env": None, "login_env": None, "requester_pays": False, "billing_project": None}
        error = refused(store, "red.tif", store.stores(**none, anonymous=not name.startswith("http")))
        assert error.code is ErrorCode.SOURCE_FORBIDDEN
        assert "credentials" in error.hint or "token_file in the storage options" in error.hint

    @pytest.mark.parametrize(
        ("variable", "value", "what"),
        [("RF_TEST_LOGIN", "", "login"), ("RF_TEST_LOGIN", "no colon", "login"), ("RF_TEST_TOKEN", "", "token")],
    )
    def test_variables_that_hold_none(
        self, make: Callable[[str], Store], monkeypatch: pytest.MonkeyPatch, variable: str, value: str, what: str
    ) -> None:
        monkeypatch.setenv(variable, value)
        store = make(f"https-{what}")
        error = refused(store, "red.tif", store.stores())
        assert error.message == f"the environment variable {variable} holds no {what} for the store of the file"

    def test_signatures_that_ran_out(
        self, make: Callable[[str], Store], azure_server: AzureServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make("az")
        blob, now = f"{azure_server.url}/closed/f/red.tif", datetime.now(UTC)
        with Stores().open(f"{blob}?{signature('closed', now + timedelta(minutes=1))}") as source:
            assert len(source.read_range(0, 10)) == 10
        store = Store(azure_server.url, "", list, lambda *_: None)
        error = refused(store, f"closed/f/red.tif?{signature('closed', now - timedelta(minutes=1))}", Stores())
        assert error.code is ErrorCode.SOURCE_FORBIDDEN
        assert error.hint.startswith("a signed URL may have run out: index the collection again with fresh ones")

    def test_a_certificate_that_nobody_trusts(self, make: Callable[[str], Store]) -> None:
        store = make("https")
        error = refused(store, "red.tif", store.stores(ca_file=None))
        assert error.code is ErrorCode.SOURCE_FORBIDDEN
        assert error.message == "the certificate of the store is not trusted (UnknownIssuer)"
        assert 'storage."https://HOST/".ca_file = a file with its certificate (PEM)' in error.hint
        missing = refused(store, "red.tif", store.stores(ca_file="/nowhere"))
        assert missing.message == "the ca_file of the storage options cannot be read: No such file or directory"

    def test_certificates_that_the_environment_trusts(
        self, make: Callable[[str], Store], nginx_server: NginxServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = make("https")
        monkeypatch.setenv("SSL_CERT_FILE", str(nginx_server.authority))
        with store.stores(ca_file=None).open(f"{store.url}/red.tif") as source:
            assert len(source.read_range(0, 10)) == 10

    @pytest.mark.parametrize("to", ["file:///etc/passwd", "/etc/passwd", "ftp://127.0.0.1/x"])
    def test_redirects_lead_to_no_file_here(self, make: Callable[[str], Store], to: str) -> None:
        store = make("http")
        away = Store(f"{store.url}/../away".replace("/http/..", ""), "", list, lambda *_: None)
        error = refused(away, f"x?to={to}", Stores())
        assert error.code in (ErrorCode.SOURCE_NOT_FOUND, ErrorCode.SOURCE_UNAVAILABLE)


@pytest.mark.parametrize("name", ["s3", "az", "gs", "http"])
def test_files_that_are_others_by_now(make: Callable[[str], Store], name: str) -> None:
    store = make(name)
    stores = store.stores()
    store.put("changing.tif", b"0123456789")
    with stores.open(f"{store.url}/changing.tif") as source:
        expected = source.identity()
    for content, words in ((b"9876543210-", "it had 10 bytes, it has 11"), (b"9876543210", "its ETag is another")):
        store.put("changing.tif", content)
        with stores.open(f"{store.url}/changing.tif", expected) as source:
            with pytest.raises(SourceError, match=words) as caught:
                source.read_range(0, 5)
            assert caught.value.code is ErrorCode.SOURCE_CHANGED
    with stores.open(f"{store.url}/changing.tif") as source, pytest.raises(SourceError, match="truncated") as caught:
        source.read_range(20, 5)
    assert caught.value.code is ErrorCode.SOURCE_CORRUPT
    error = refused(store, "none.tif", stores)
    assert (error.code, error.message) == (ErrorCode.SOURCE_NOT_FOUND, "the file does not exist (HTTP 404)")


def test_reported_by_record_and_asset(make: Callable[[str], Store], tmp_path: Path) -> None:
    store = make("s3")
    hrefs = {"good": f"{store.url}/red.tif", "gone": f"{store.url}/none.tif", "nowhere": "s3://nowhere/x.tif"}
    items = write_items(tmp_path / "items.json", {record: {"red": href} for record, href in hrefs.items()})
    said = store.configuration.replace("s3://closed/", "s3://")
    (tmp_path / "my.toml").write_text(said)
    report = build_index(items, tmp_path / "index", "x", config=tmp_path / "my.toml")
    assert report.records == 1
    assert [str(failure) for failure in report.failures if "none of its" not in str(failure)] == [
        "gone/red: the file does not exist (HTTP 404)",
        "nowhere/red: the bucket of the file does not exist (HTTP 404)",
    ]
    store.put("red.tif", b"another")
    with (
        rf.local({"x": tmp_path / "index"}) as client,
        pytest.raises(rf.errors.SourceChangedError, match="good/red") as caught,
    ):
        client.collection("x").get_numpy(bands=["red"], windows=[(0, 0, 8, 8)])
    assert json.dumps(str(caught.value)).count("index the collection again") == 1
    assert CONFIGURATION == "collection.toml"
