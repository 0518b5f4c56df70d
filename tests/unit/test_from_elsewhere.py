"""What catalogs and indexes from elsewhere may name: anything on other machines, no file of this one."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rasterflight_protocol import ErrorCode
from rasterflight_server.catalog import Collection
from rasterflight_server.catalog.configuration import CONFIGURATION
from rasterflight_server.catalog.remote import beside
from rasterflight_server.errors import ConfigError, SourceError
from rasterflight_server.ingest import build_index
from rasterflight_server.ingest.stacassets import resolve_href
from rasterflight_server.store import StorageOptions, Stores, from_elsewhere, read_whole
from support.direct import opened
from support.http_server import FileServer
from support.scenes import noise, write_items, write_scene
from support.watched import Watched

REFUSED = "what comes from elsewhere may not name files of this machine"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A file of this machine."""
    (tmp_path / "own").mkdir()
    return write_scene(tmp_path / "own" / "own.tif", noise(32, 32), tile=32)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    """Another machine, with a file that is right."""
    (tmp_path / "web").mkdir()
    write_scene(tmp_path / "web" / "right.tif", noise(32, 32), tile=32)
    with FileServer(tmp_path / "web") as server:
        yield server


@pytest.mark.parametrize("location", ["https://host/a/items.json", "s3://host/a/items.json"])
@pytest.mark.parametrize(
    "href",
    [
        *("file:///etc/x.tif", "FILE:///etc/x.tif", "file://localhost/etc/x.tif", "file:/etc/x.tif", "x:/etc/x.tif"),
        *("/vsicurl/file:///etc/x.tif", "/etc/x.tif", "../../../../etc/x.tif", "//etc/x.tif", "foreign:///a/../../x"),
    ],
)
def test_no_href_leads_here(location: str, href: str) -> None:
    found = resolve_href(href, location)
    assert "://" in found
    with (
        pytest.raises(SourceError),
        Stores({location[:8]: StorageOptions(rewrite="foreign:///")}).open(found) as f,
    ):
        f.read_prefix(1)


def test_local_catalogs_name_what_they_like() -> None:
    assert resolve_href("file:///etc/x.tif", "/a/items.json") == "file:///etc/x.tif"
    assert resolve_href("../x.tif", "/a/b/items.json") == "/a/x.tif"


@pytest.mark.parametrize("document", ["items.json", "items.parquet", "catalog.json"])
def test_of_a_catalog(tmp_path: Path, own: Path, server: FileServer, document: str) -> None:
    hrefs = {"good": "right.tif", "bad": own.as_uri()}
    if document == "items.parquet":
        pq.write_table(pa.table({"id": list(hrefs), "red": list(hrefs.values())}), server.root / document)
    else:
        write_items(server.root / "items.json", {record: {"red": href} for record, href in hrefs.items()})
    (own.parent / "items.json").write_text(
        (server.root / "items.json").read_text() if document != "items.parquet" else ""
    )
    links = [{"rel": "item", "href": href} for href in ("items.json", (own.parent / "items.json").as_uri())]
    (server.root / "catalog.json").write_text(json.dumps({"type": "Catalog", "id": "c", "links": links}))
    options = {"map": {"id": "id", "red": "red"}} if document == "items.parquet" else {}
    with Watched(own.parent) as watched:
        report = build_index(f"{server.url}/{document}", tmp_path / "index", "x", **options)
        assert watched.opened() == []
    assert report.records == 1
    reasons = [str(failure) for failure in report.failures]
    assert sum(REFUSED in reason for reason in reasons) == 1 + (document == "catalog.json")
    assert "bad/red: " + REFUSED + " (copy the catalog or the index to this machine, if you trust it)" in reasons


class TestRewrites:
    """The operator may say that what others name lies here."""

    def test_a_folder(self, own: Path) -> None:
        leave = Stores({f"{own.parent.as_uri()}/": StorageOptions(rewrite=own.parent.as_uri())})
        assert read_whole(from_elsewhere(own.as_uri()), leave) == own.read_bytes()
        for href in (f"{own.parent.as_uri()}x/own.tif", f"{own.parent.as_uri()}/../x.tif", "file:///own.tif"):
            with pytest.raises(SourceError, match=REFUSED):
                leave.open(from_elsewhere(href))

    def test_own_files_need_no_leave(self, own: Path) -> None:
        elsewhere = Stores({f"{own.parent.as_uri()}/": StorageOptions(rewrite="file:///nowhere/")})
        assert read_whole(own.as_uri(), elsewhere) == own.read_bytes()

    @pytest.mark.parametrize("rest", ["../own.tif", "a/../../own.tif", "%2e%2e/own.tif", "a/%2E%2E/%2E%2E/own.tif"])
    def test_not_out_of_the_folder(self, own: Path, rest: str) -> None:
        (own.parent / "open" / "a").mkdir(parents=True)
        stores = Stores({"https://host/": StorageOptions(rewrite=f"{own.parent.as_uri()}/open")})
        with pytest.raises(SourceError, match="the URL of the file cannot be used") as caught:
            stores.open(f"https://host/{rest}")
        assert caught.value.code is ErrorCode.SOURCE_NOT_FOUND

    @pytest.mark.parametrize("name", ["a b+ü%.tif", "%2e%2e.tif"])
    def test_names_stay_as_they_are(self, own: Path, name: str) -> None:
        (own.parent / name).write_bytes(b"bytes")
        stores = Stores({"s3://bucket/": StorageOptions(rewrite=own.parent.as_uri())})
        assert read_whole(f"s3://bucket/{name}", stores) == b"bytes"


def test_of_an_index(tmp_path: Path, own: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    hrefs = {"bad": own.as_uri(), "worse": str(own), "good": f"{server.url}/right.tif"}
    items = write_items(tmp_path / "items.json", {record: {"red": href} for record, href in hrefs.items()})
    build_index(items, server.root / "index", "files")
    with opened(server.root / "index") as here:
        np.testing.assert_array_equal(here.read("worse")[0][0].pixels["red"], noise(32, 32))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with Watched(own.parent) as watched, opened(f"{server.url}/index") as there:
        np.testing.assert_array_equal(there.read("good")[0][0].pixels["red"], noise(32, 32))
        for record in ("bad", "worse"):
            with pytest.raises(SourceError, match=REFUSED) as caught:
                there.read(record)
            assert (caught.value.code, caught.value.record) == (ErrorCode.SOURCE_FORBIDDEN, record)
        assert watched.opened() == []


def test_hrefs_of_an_index_behind_a_url() -> None:
    assert beside("https://host/a/index?x=1", "b c.tif") == "https://host/a/b%20c.tif?x=1"
    assert beside("https://host/a/index", "s3://bucket/b.tif") == "s3://bucket/b.tif"
    assert beside("https://host/a/index", "/etc/x.tif") == from_elsewhere("/etc/x.tif")


@pytest.mark.parametrize(
    ("said", "field", "words"),
    [
        ('[[rewrite]]\nfrom = "https://x/"\nto = "file:///etc/"', "rewrite[0].to", "names no files of this machine"),
        (
            '[storage."s3://x/"]\nrewrite = "file:///etc/"',
            'storage."s3://x/".rewrite',
            "names no files of this machine",
        ),
        ('[storage."gs://x/"]\nendpoint = "https://evil/"', 'storage."gs://x/".endpoint', "no use of the secrets here"),
        ('[storage."https://x/"]\nlogin_file = "/etc/x"', 'storage."https://x/".login_file', "no use of the secrets"),
        (
            '[storage."az://x/"]\nsigning = "planetary-computer"\nsigning_url = "https://evil/"',
            'storage."az://x/".signing_url',
            "no use of the secrets here",
        ),
    ],
)
def test_configurations_of_an_index_behind_a_url(
    tmp_path: Path, own: Path, server: FileServer, said: str, field: str, words: str
) -> None:
    build_index(own.parent, server.root / "index", "files")
    (server.root / "index" / CONFIGURATION).write_text(said)
    with pytest.raises(ConfigError, match=words) as caught:
        Collection.open(f"{server.url}/index", name="files", cache=tmp_path / "cache")
    assert caught.value.field == field
    assert caught.value.hint == "copy the index to the disk of the server, if you trust it"


def test_an_endpoint_for_all(tmp_path: Path, own: Path, server: FileServer) -> None:
    build_index(own.parent, server.root / "index", "files")
    (server.root / "index" / CONFIGURATION).write_text('[storage."s3://x/"]\nendpoint = "https://e/"\nanonymous = true')
    Collection.open(f"{server.url}/index", name="files", cache=tmp_path / "cache").close()
