"""Files in a real S3 server: headers, ranges, refusals, listings, and an index built and served from there."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import rasterio

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError
from rasterflight_server.ingest.header import read_header
from rasterflight_server.store import StorageOptions, Stores, open_source, read_whole
from rasterflight_server.types import Identity
from support.direct import direct
from support.s3_server import ACCESS_KEY, OPEN_BUCKET, REGION, SECRET_KEY, S3Server
from support.scenes import write_items

KEY = "odd/a b+ü%.tif"


@pytest.fixture(scope="module")
def s3(s3_server: S3Server, tiff: Path) -> S3Server:
    for bucket in (OPEN_BUCKET, "closed"):
        s3_server.put(bucket, KEY, tiff.read_bytes())
    return s3_server


@pytest.fixture(scope="module")
def tiff(data: Path) -> Path:
    return min((data / "landsat8-ny-cog").rglob("*.tif"))


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)


@pytest.fixture
def stores(s3: S3Server, credentials: None) -> Stores:
    return Stores({"s3://": StorageOptions(endpoint=s3.url, region=REGION, allow_http=True)})


def anonymous(s3: S3Server) -> Stores:
    return Stores({"s3://": StorageOptions(endpoint=s3.url, anonymous=True)})


def refused(href: str, stores: Stores) -> SourceError:
    with pytest.raises(SourceError) as caught, stores.open(href) as source:
        source.read_range(0, 10)
    for secret in ("127.0.0.1", "a b+", SECRET_KEY, "tester"):
        assert secret not in str(caught.value)
    return caught.value


class TestReads:
    def test_header_equals_the_local_one(self, stores: Stores, tiff: Path) -> None:
        with stores.open(f"s3://closed/{KEY}") as source, open_source(str(tiff)) as local:
            header, wanted = read_header(source), read_header(local)
            identity = source.identity()
        assert (header.profile, header.grid, header.tags) == (wanted.profile, wanted.grid, wanted.tags)
        assert identity == Identity(tiff.stat().st_size, etag=identity.etag)
        assert identity.etag is not None

    def test_ranges(self, stores: Stores, tiff: Path) -> None:
        content = tiff.read_bytes()
        with stores.open(f"s3://closed/{KEY}") as source:
            for offset, length in ((0, 1), (1000, 5000), (len(content) - 7, 7)):
                assert bytes(source.read_range(offset, length)) == content[offset : offset + length]
            for offset in (len(content) - 5, len(content) + 5):
                with pytest.raises(SourceError, match="truncated") as caught:
                    source.read_range(offset, 10)
                assert caught.value.code is ErrorCode.SOURCE_CORRUPT
        assert read_whole(f"s3://closed/{KEY}", stores) == content

    def test_notices_a_change(self, s3: S3Server, stores: Stores) -> None:
        s3.put("closed", "changing.tif", b"0123456789")
        with stores.open("s3://closed/changing.tif") as source:
            expected = source.identity()
        s3.put("closed", "changing.tif", b"9876543210")
        changed = stores.open("s3://closed/changing.tif", expected)
        with changed, pytest.raises(SourceError, match="its ETag is another") as caught:
            changed.read_range(0, 5)
        assert caught.value.code is ErrorCode.SOURCE_CHANGED

    def test_a_collection(self, stores: Stores, tiff: Path, tmp_path: Path) -> None:
        items = write_items(tmp_path / "items.json", {"one": {"red": f"s3://closed/{KEY}"}})
        with direct(items, tmp_path / "index", stores) as files, rasterio.open(tiff) as dataset:
            [chip], _ = files.read("one")
            np.testing.assert_array_equal(chip.pixels["red"], dataset.read(1))

    def test_anonymously_as_the_environment_says(
        self, s3: S3Server, monkeypatch: pytest.MonkeyPatch, tiff: Path
    ) -> None:
        monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
        options = StorageOptions(endpoint=s3.url, allow_http=True)
        assert read_whole(f"s3://{OPEN_BUCKET}/{KEY}", Stores({"s3://": options})) == tiff.read_bytes()

    def test_anonymously(self, s3: S3Server, tiff: Path) -> None:
        assert read_whole(f"s3://{OPEN_BUCKET}/{KEY}", anonymous(s3)) == tiff.read_bytes()

    def test_by_a_profile(self, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiff: Path) -> None:
        file = tmp_path / "credentials"
        file.write_text(f"[work]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        options = StorageOptions(endpoint=s3.url, region=REGION, allow_http=True, profile="work")
        assert read_whole(f"s3://closed/{KEY}", Stores({"s3://closed": options})) == tiff.read_bytes()
        error = refused(f"s3://closed/{KEY}", Stores({"s3://closed": StorageOptions(profile="wrok")}))
        assert error.code is ErrorCode.SOURCE_FORBIDDEN
        assert error.message == "the AWS configuration has no usable profile 'wrok'"


class TestRefusals:
    def test_missing_file(self, stores: Stores) -> None:
        error = refused("s3://closed/a b+.tif", stores)
        assert (error.code, error.message) == (ErrorCode.SOURCE_NOT_FOUND, "the file does not exist (HTTP 404)")

    def test_missing_bucket(self, stores: Stores) -> None:
        error = refused("s3://nowhere/a.tif", stores)
        assert error.code is ErrorCode.SOURCE_NOT_FOUND
        assert error.message == "the bucket of the file does not exist (HTTP 404)"

    @pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
    def test_wrong_credentials(self, stores: Stores, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
        monkeypatch.setenv(variable, "wrong")
        error = refused(f"s3://closed/{KEY}", stores)
        assert error.code is ErrorCode.SOURCE_FORBIDDEN
        assert error.message == "the store does not know the credentials of the server"
        assert error.hint == (
            "check the access key, the secret and the session token in its environment, or the profile"
        )

    def test_anonymous_where_nobody_may(self, s3: S3Server) -> None:
        error = refused(f"s3://closed/{KEY}", anonymous(s3))
        assert error.code is ErrorCode.SOURCE_FORBIDDEN
        assert error.hint == "give the server credentials, and leave anonymous out of the storage options"

    def test_plain_http_needs_leave(self, s3: S3Server, credentials: None) -> None:
        error = refused(f"s3://closed/{KEY}", Stores({"s3://": StorageOptions(endpoint=s3.url)}))
        assert error.code is ErrorCode.SOURCE_FORBIDDEN
        assert error.hint == "use https, or say allow_http = true in the storage options"

    def test_plain_http_of_the_environment_too(
        self, s3: S3Server, credentials: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3.url)
        error = refused(f"s3://closed/{KEY}", Stores())
        assert error.message == "the credentials of the store may not be sent without encryption"

    def test_no_credentials(self, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")
        options = StorageOptions(endpoint=s3.url, region=REGION, allow_http=True)
        error = refused(f"s3://closed/{KEY}", Stores({"s3://": options}))
        assert error.code is ErrorCode.SOURCE_FORBIDDEN
        assert error.message == "the server has no credentials for the store of the file"


class TestListing:
    def test_pages(self, s3: S3Server, stores: Stores) -> None:
        many = 1001
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: s3.put("many", f"x/{number:04}.tif", b"abc"), range(many)))
        s3.put("many", "xy.tif", b"abcd")
        found = dict(stores.list_files("s3://many"))
        assert len(found) == many + 1
        assert found["s3://many/xy.tif"].size == 4
        for folder in ("s3://many/x", "s3://many/x/"):
            assert len(list(stores.list_files(folder))) == many
        assert list(stores.list_files("s3://many/none")) == []

    def test_what_is_listed_opens(self, stores: Stores) -> None:
        [(url, identity)] = stores.list_files("s3://closed/odd")
        assert url == f"s3://closed/{KEY}"
        with stores.open(url, identity) as source:
            source.read_range(0, 10)
            assert source.identity() == identity

    def test_refused(self, s3: S3Server, stores: Stores) -> None:
        with pytest.raises(SourceError, match="the bucket of the file does not exist") as caught:
            list(stores.list_files("s3://nowhere"))
        assert caught.value.code is ErrorCode.SOURCE_NOT_FOUND
        with pytest.raises(SourceError, match="the store refuses") as caught:
            list(anonymous(s3).list_files("s3://closed/odd"))
        assert caught.value.code is ErrorCode.SOURCE_FORBIDDEN
        assert "127.0.0.1" not in str(caught.value)

    def test_not_of_web_servers(self, stores: Stores) -> None:
        with pytest.raises(SourceError, match="behind http:// and https:// cannot be listed") as caught:
            next(stores.list_files("https://host/folder"))
        assert caught.value.code is ErrorCode.SOURCE_NOT_FOUND
