import os
import time
from pathlib import Path

import pytest

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError
from rasterflight_server.store import ReadAhead, StorageOptions, Stores, open_source, read_whole
from rasterflight_server.types import Identity
from support.descriptors import open_files
from support.fault_proxy import Fault, FaultProxy, always
from support.http_server import FileServer

BYTES = bytes(range(256)) * 1024
#: So that what never gets better is over soon.
IMPATIENT = Stores({"http://": StorageOptions(retries=2, timeout=0.2)})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.tif").write_bytes(BYTES)
    return tmp_path


@pytest.fixture(params=["path", "file", "http"])
def href(request: pytest.FixtureRequest, folder: Path):
    path = folder / "a.tif"
    if request.param == "http":
        with FileServer(folder) as server:
            yield f"{server.url}/a.tif"
    else:
        yield str(path) if request.param == "path" else path.as_uri()


def fails(code: ErrorCode, words: str, href: str, expected: Identity | None = None) -> SourceError:
    with pytest.raises(SourceError) as caught, open_source(href, expected, IMPATIENT) as source:
        source.read_range(0, 10)
    assert caught.value.code is code
    assert words in caught.value.message
    assert "127.0.0.1" not in str(caught.value)
    assert "a.tif" not in str(caught.value)
    return caught.value


def held(folder: Path) -> list[str]:
    """Descriptors of this process that are files of a folder."""
    return [target for _, target in open_files() if target.startswith(str(folder))]


class TestEverySource:
    def test_reads_ranges(self, href: str) -> None:
        with open_source(href) as source:
            assert bytes(source.read_range(1000, 50)) == BYTES[1000:1050]
            assert bytes(source.read_range(len(BYTES) - 1, 1)) == BYTES[-1:]
            assert bytes(source.read_range(5, 0)) == b""
            assert source.identity().size == len(BYTES)

    def test_reads_a_prefix_of_a_shorter_file(self, href: str) -> None:
        with open_source(href) as source:
            assert bytes(source.read_prefix(10 * len(BYTES))) == BYTES

    def test_reads_the_whole(self, href: str) -> None:
        assert read_whole(href) == BYTES

    @pytest.mark.parametrize("offset", [len(BYTES) - 5, len(BYTES), 10 * len(BYTES)])
    def test_does_not_return_less_than_asked(self, href: str, offset: int) -> None:
        with open_source(href) as source, pytest.raises(SourceError) as caught:
            source.read_range(offset, 10)
        assert caught.value.code is ErrorCode.SOURCE_CORRUPT
        assert caught.value.message == (
            f"truncated: bytes {offset} to {offset + 10} are needed, the file has {len(BYTES)}"
        )

    def test_notices_another_size(self, href: str) -> None:
        error = fails(ErrorCode.SOURCE_CHANGED, "it had 7 bytes, it has 262144", href, Identity(7))
        assert error.hint == "index the collection again"

    def test_accepts_its_own_identity(self, href: str) -> None:
        with open_source(href) as source:
            identity = source.identity()
        with open_source(href, identity) as source:
            assert len(source.read_range(0, 10)) == 10

    def test_missing(self, href: str) -> None:
        fails(ErrorCode.SOURCE_NOT_FOUND, "does not exist", href.replace("a.tif", "b.tif"))


class TestLocal:
    def test_notices_another_time_at_opening(self, folder: Path) -> None:
        with pytest.raises(SourceError, match="modification time") as caught:
            open_source(str(folder / "a.tif"), Identity(len(BYTES), mtime_ns=1))
        assert caught.value.code is ErrorCode.SOURCE_CHANGED

    def test_not_a_file(self, folder: Path) -> None:
        fails(ErrorCode.SOURCE_NOT_FOUND, "not a regular file", str(folder))
        os.mkfifo(folder / "pipe")
        fails(ErrorCode.SOURCE_NOT_FOUND, "not a regular file", str(folder / "pipe"))

    def test_nul_in_the_path(self) -> None:
        fails(ErrorCode.SOURCE_NOT_FOUND, "does not exist", "a\0b")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_forbidden(self, folder: Path) -> None:
        (folder / "a.tif").chmod(0)
        fails(ErrorCode.SOURCE_FORBIDDEN, "may not read", str(folder / "a.tif"))

    def test_cut_while_open(self, folder: Path) -> None:
        with open_source(str(folder / "a.tif")) as source:
            os.truncate(folder / "a.tif", 100)
            with pytest.raises(SourceError) as caught:
                source.read_range(90, 20)
        assert caught.value.code is ErrorCode.SOURCE_CHANGED

    def test_gives_its_descriptor_back(self, folder: Path) -> None:
        with open_source(str(folder / "a.tif")):
            assert len(held(folder)) == 1
        for _ in range(10):
            with open_source(str(folder / "a.tif")) as source:
                source.close()
            with pytest.raises(SourceError):
                open_source(str(folder / "a.tif"), Identity(1))
        assert held(folder) == []

    def test_percent_in_a_file_url(self, folder: Path) -> None:
        (folder / "a b%20.tif").write_bytes(b"x")
        assert read_whole((folder / "a b%20.tif").as_uri()) == b"x"


@pytest.mark.parametrize("href", ["ftp://host/key.tif", "vsicurl://x", "://x"])
def test_other_schemes(href: str) -> None:
    with pytest.raises(SourceError) as caught:
        open_source(href)
    assert caught.value.code is ErrorCode.SOURCE_NOT_FOUND
    assert str(caught.value) == (
        f"files at {href.partition(':')[0]!r} URLs cannot be read"
        " (local paths, file://, http(s)://, s3://, gs://, az:// and abfs:// can)"
    )


class TestHttp:
    @pytest.fixture
    def server(self, folder: Path):
        with FileServer(folder) as server:
            yield server

    def test_one_request_a_read_and_none_to_open(self, server: FileServer) -> None:
        with open_source(f"{server.url}/a.tif") as source:
            assert source.remote
            assert server.requests == []
            source.read_range(10, 20)
            assert source.identity().size == len(BYTES)
        assert [(request.method, request.range) for request in server.requests] == [("GET", "bytes=10-29")]

    def test_identity_before_a_read_is_a_head(self, server: FileServer) -> None:
        with open_source(f"{server.url}/a.tif") as source:
            identity = source.identity()
        assert (identity.size, identity.mtime_ns) == (len(BYTES), None)
        assert identity.etag is not None
        assert [request.method for request in server.requests] == ["HEAD"]

    @pytest.mark.parametrize(
        ("name", "sent"),
        [
            ("a b.tif", "/a%20b.tif"),
            ("ü/x.tif", "/%C3%BC/x.tif"),
            ("100%.tif", "/100%25.tif"),
            ("a+b&c=d.tif", "/a+b&c=d.tif"),
            ("q?.tif", "/q%3F.tif"),
            ("a//b.tif", "/a//b.tif"),
            ("a%2Fb.tif", "/a%252Fb.tif"),
        ],
    )
    def test_encoded_paths(self, server: FileServer, folder: Path, name: str, sent: str) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"here")
        assert read_whole(f"{server.url}{sent}") == b"here"
        assert {request.path for request in server.requests} == {sent}

    def test_an_encoded_slash_stays_encoded(self, server: FileServer) -> None:
        with pytest.raises(SourceError):
            read_whole(f"{server.url}/a%2Fb.tif?sig=1")
        assert {request.path for request in server.requests} == {"/a%2Fb.tif?sig=1"}

    def test_queries_are_kept(self, server: FileServer) -> None:
        for query in ("sig=a%2Fb%3D&se=2024-01-01T00%3A00%3A00Z", "x=1"):
            with open_source(f"{server.url}/a.tif?{query}") as source:
                source.read_range(0, 10)
            assert server.requests[-1].path == f"/a.tif?{query}"

    @pytest.mark.parametrize("etag", ['"new"', 'W/"new"'])
    def test_notices_another_etag(self, server: FileServer, etag: str) -> None:
        expected = Identity(len(BYTES), etag='W/"old"')
        server.faults.etag["/a.tif"] = 'W/"old"'
        with open_source(f"{server.url}/a.tif", expected) as source:
            source.read_range(0, 10)
            server.faults.etag["/a.tif"] = etag
            with pytest.raises(SourceError, match="ETag") as caught:
                source.read_range(0, 10)
        assert caught.value.code is ErrorCode.SOURCE_CHANGED

    def test_a_weak_etag_goes_with_the_time(self, server: FileServer) -> None:
        server.faults.etag["/a.tif"] = 'W/"same"'
        with open_source(f"{server.url}/a.tif") as source:
            expected = source.identity()
            source.read_range(0, 10)
            server.faults.modified["/a.tif"] = "Mon, 01 Jan 2024 00:00:00 GMT"
            with pytest.raises(SourceError, match="modification time") as caught:
                source.read_range(0, 10)
        assert caught.value.code is ErrorCode.SOURCE_CHANGED
        assert expected.etag == 'W/"same"'

    def test_without_etag_size_counts(self, server: FileServer) -> None:
        server.faults.etag["/a.tif"] = ""
        with open_source(f"{server.url}/a.tif", Identity(len(BYTES), etag='"old"')) as source:
            assert len(source.read_range(0, 10)) == 10
            assert source.identity().etag is None

    def test_without_etag_the_time_counts_too(self, server: FileServer) -> None:
        server.faults.etag["/a.tif"] = ""
        with open_source(f"{server.url}/a.tif") as source:
            source.read_range(0, 10)
            expected = source.identity()
        assert expected.mtime_ns is not None
        server.faults.modified["/a.tif"] = "Mon, 01 Jan 2024 00:00:00 GMT"
        with open_source(f"{server.url}/a.tif", expected) as source:
            with pytest.raises(SourceError, match="modification time") as caught:
                source.read_range(0, 10)
            assert caught.value.code is ErrorCode.SOURCE_CHANGED
            server.faults.modified["/a.tif"] = ""
            source.read_range(0, 10)

    @pytest.mark.parametrize(
        ("status", "code", "words"),
        [
            (401, ErrorCode.SOURCE_FORBIDDEN, "refuses the file (HTTP 401 or 403)"),
            (403, ErrorCode.SOURCE_FORBIDDEN, "refuses the file (HTTP 401 or 403)"),
            (404, ErrorCode.SOURCE_NOT_FOUND, "does not exist (HTTP 404)"),
            (500, ErrorCode.SOURCE_UNAVAILABLE, "does not answer, or answers with an error"),
        ],
    )
    def test_statuses(self, server: FileServer, status: int, code: ErrorCode, words: str) -> None:
        server.faults.status["/a.tif"] = status
        fails(code, words, f"{server.url}/a.tif?sig=secret")

    @pytest.mark.parametrize(
        ("status", "requests"), [(400, 1), (404, 1), (408, 3), (429, 3), (500, 3), (501, 1), (503, 3)]
    )
    def test_what_is_tried_again(self, server: FileServer, status: int, requests: int) -> None:
        server.faults.status["/a.tif"] = status
        with pytest.raises(SourceError):
            read_whole(f"{server.url}/a.tif", IMPATIENT)
        assert len(server.requests) == requests

    def test_tries_again(self, server: FileServer) -> None:
        server.faults.unavailable["/a.tif"] = 2
        assert read_whole(f"{server.url}/a.tif") == BYTES

    def test_server_without_ranges(self, server: FileServer) -> None:
        server.faults.ignore_range.add("/a.tif")
        error = fails(ErrorCode.SOURCE_UNAVAILABLE, "does not answer range requests", f"{server.url}/a.tif")
        assert error.hint == "serve the file from one that does"

    def test_body_that_breaks_off(self, server: FileServer) -> None:
        server.faults.cut_body.add("/a.tif")
        fails(ErrorCode.SOURCE_UNAVAILABLE, "does not answer", f"{server.url}/a.tif")

    def test_a_body_that_drips(self, server: FileServer) -> None:
        # Never silent for long, and yet no answer: ten times the timeout in all, here 2 seconds.
        stores = Stores({"http://": StorageOptions(retries=0, timeout=0.2)})
        with FaultProxy(server.url) as proxy, stores.open(f"{proxy.url}/a.tif") as source:
            proxy.plan = always(Fault(bytes_per_second=20))
            begun = time.monotonic()
            with pytest.raises(SourceError, match="does not answer"):
                source.read_range(0, 1000)
            assert 1 < time.monotonic() - begun < 4

    def test_a_file_that_became_shorter(self, server: FileServer, folder: Path) -> None:
        with open_source(f"{server.url}/a.tif") as source:
            source.read_range(0, 10)
            (folder / "a.tif").write_bytes(BYTES[:1000])
            with pytest.raises(SourceError, match="it had 262144 bytes, it has 1000") as caught:
                source.read_range(2000, 10)
        assert caught.value.code is ErrorCode.SOURCE_CHANGED

    def test_nobody_there(self) -> None:
        fails(ErrorCode.SOURCE_UNAVAILABLE, "does not answer", "http://127.0.0.1:1/a.tif")

    @pytest.mark.parametrize("url", ["http://[bad/a.tif", "http:///a.tif"])
    def test_impossible_urls(self, url: str) -> None:
        with pytest.raises(SourceError) as caught, open_source(url) as source:
            source.read_range(0, 1)
        assert caught.value.code in (ErrorCode.SOURCE_NOT_FOUND, ErrorCode.SOURCE_UNAVAILABLE)

    def test_empty_file(self, server: FileServer, folder: Path) -> None:
        (folder / "empty.tif").write_bytes(b"")
        with open_source(f"{server.url}/empty.tif") as source:
            assert bytes(source.read_prefix(100)) == b""


class TestReadAhead:
    def test_small_headers_take_one_request(self, folder: Path) -> None:
        with FileServer(folder) as server, open_source(f"{server.url}/a.tif") as source:
            file = ReadAhead(source, 10**6)
            for offset in (0, 8, 60_000):
                assert bytes(file.read(offset, 100)) == BYTES[offset : offset + 100]
            assert file.size == len(BYTES)
            assert len(server.requests) == 1
            # Then ever larger pieces, wherever they are needed.
            assert bytes(file.read(65_500, 100)) == BYTES[65_500:65_600]
            assert bytes(file.read(200_000, 60_000)) == BYTES[200_000:260_000]
            file.read(100_000, 10_000)
            assert [request.range for request in server.requests[1:]] == ["bytes=65500-196571", "bytes=200000-262143"]

    def test_outside_the_file(self, folder: Path) -> None:
        with open_source(str(folder / "a.tif")) as source, pytest.raises(SourceError, match="truncated"):
            ReadAhead(source, 10**6).read(len(BYTES) - 1, 2)

    def test_limit(self, folder: Path) -> None:
        with open_source(str(folder / "a.tif")) as source:
            file = ReadAhead(source, 150_000)
            file.read(70_000, 10)
            with pytest.raises(SourceError, match="unreasonably large") as caught:
                file.read(201_100, 60_000)
        assert caught.value.code is ErrorCode.SOURCE_CORRUPT
