"""An index behind a URL: fetched once, checked, and read like one on the disk."""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import rasterflight as rf
from rasterflight_protocol import ErrorCode
from rasterflight_server.catalog import Collection
from rasterflight_server.catalog.configuration import Configuration
from rasterflight_server.catalog.remote import beside, default_cache
from rasterflight_server.cli import main
from rasterflight_server.errors import BadIndexError, ConfigError, SourceError
from rasterflight_server.ingest import build_index
from support.http_server import FileServer
from support.server import ServerProcess

RASTER = "m_4709963_se_14_1_20090818.tif"
FILES = ("assets.arrow", "profiles.json", "records.parquet", "tiles.arrow")


@pytest.fixture
def files(data: Path, tmp_path: Path) -> Iterator[FileServer]:
    root = tmp_path / "bucket"
    (root / "scenes").mkdir(parents=True)
    shutil.copy(data / "naip-nd-4709963" / RASTER, root / "scenes" / "a scene.tif")
    build_index(root / "scenes", root / "index", "naip")
    with FileServer(root) as server:
        yield server


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def opened(files: FileServer, cache: Path) -> Callable[[], Collection]:
    return lambda: Collection.open(f"{files.url}/index", cache=cache)


def snapshot(files: FileServer) -> str:
    return json.loads((files.root / "index" / "manifest.json").read_text())["snapshot"]


def fetched(files: FileServer) -> Counter[str]:
    return Counter(request.path.rpartition("/")[2] for request in files.requests if request.method == "GET")


def test_it_is_served_and_read(files: FileServer, cache: Path) -> None:
    with ServerProcess({"naip": f"{files.url}/index"}, options=[f"--index-cache={cache}"]) as server:
        found = rf.connect(server.url).collection("naip").get_numpy(windows=[(10, 20, 40, 30)], bands=["band_1"])
    with rf.local({"naip": files.root / "index"}) as local:
        expected = local.collection("naip").get_numpy(windows=[(10, 20, 40, 30)], bands=["band_1"])
    assert found.shape == (1, 30, 40)
    assert np.array_equal(found, expected)
    # Hrefs go on from where the index is.
    assert any(request.path == "/scenes/a%20scene.tif" for request in files.requests)


def test_it_is_fetched_once(files: FileServer, opened: Callable[[], Collection]) -> None:
    first = opened()
    assert all(fetched(files)[name] == 1 for name in FILES)
    files.requests.clear()
    second = opened()
    assert set(fetched(files)) == {"manifest.json"}
    assert first.snapshot == second.snapshot == snapshot(files)
    assert second.select([]).equals(first.select([]))


def test_large_files_come_in_parts(
    files: FileServer, opened: Callable[[], Collection], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rasterflight_server.catalog.remote._PART", 1000)
    opened()
    for name in FILES:
        original = files.root / "index" / snapshot(files) / name
        [copy] = cache.rglob(name)
        assert copy.read_bytes() == original.read_bytes()
        assert fetched(files)[name] == -(-original.stat().st_size // 1000)


def test_a_new_snapshot_replaces_the_old(files: FileServer, opened: Callable[[], Collection], cache: Path) -> None:
    old = opened()
    shutil.copy(files.root / "scenes" / "a scene.tif", files.root / "scenes" / "b.tif")
    build_index(files.root / "scenes", files.root / "index", "naip")
    new = opened()
    assert new.snapshot == snapshot(files) != old.snapshot
    assert {path.parent.name for path in cache.rglob("records.parquet")} == {new.snapshot}
    # Who has it open goes on.
    assert old.assets(0, [0])[0] is not None


def test_its_configuration_counts(files: FileServer, opened: Callable[[], Collection]) -> None:
    plain = opened()
    assert plain.configuration == Configuration()
    toml = files.root / "index" / "collection.toml"
    toml.write_text("title = 'NAIP'\n[bands.band_1]\nnodata = 3")
    configured = opened()
    assert configured.configuration.title == "NAIP"
    assert configured.bands["band_1"].nodatas == ("3",)
    assert configured.snapshot.startswith(f"{plain.snapshot}-")
    # Stores say so of what is not there, where the folder may not be listed.
    files.faults.status["/index/collection.toml"] = 403
    assert opened().configuration == Configuration()


def test_its_configuration_gets_no_secrets(files: FileServer, opened: Callable[[], Collection]) -> None:
    toml = files.root / "index" / "collection.toml"
    toml.write_text('[storage."https://elsewhere.example/"]\ntoken_env = "MY_TOKEN"')
    with pytest.raises(ConfigError, match="an index behind a URL has no use of the secrets here") as caught:
        opened()
    assert caught.value.field == 'storage."https://elsewhere.example/".token_env'
    assert caught.value.hint == "copy the index to the disk of the server, if you trust it"


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"short"), Path.unlink])
def test_what_was_damaged_is_fetched_again(
    files: FileServer, opened: Callable[[], Collection], cache: Path, damage: Callable[[Path], object]
) -> None:
    opened()
    [copy] = cache.rglob("tiles.arrow")
    damage(copy)
    files.requests.clear()
    opened()
    assert fetched(files)["tiles.arrow"] == 1
    assert copy.read_bytes() == (files.root / "index" / snapshot(files) / "tiles.arrow").read_bytes()


def refused(opened: Callable[[], Collection], cache: Path) -> SourceError:
    with pytest.raises(SourceError) as caught:
        opened()
    # Nothing half is kept.
    assert not list(cache.rglob("*.arrow"))
    return caught.value


class TestFailures:
    @pytest.mark.parametrize(
        ("status", "code", "message", "hint"),
        [
            (404, ErrorCode.SOURCE_NOT_FOUND, "the file does not exist", "give the URL of the directory"),
            (403, ErrorCode.SOURCE_FORBIDDEN, "refuses the file", "a signed URL may have run out"),
        ],
    )
    @pytest.mark.parametrize("name", ["manifest.json", "tiles.arrow"])
    def test_refused(
        self,
        files: FileServer,
        opened: Callable[[], Collection],
        cache: Path,
        name: str,
        status: int,
        code: ErrorCode,
        message: str,
        hint: str,
    ) -> None:
        path = f"/index/{name}" if name == "manifest.json" else f"/index/{snapshot(files)}/{name}"
        files.faults.status[path] = status
        error = refused(opened, cache)
        assert error.code is code
        assert error.message.startswith(f"the index '{files.url}/index' cannot be fetched: {name}: ")
        assert message in error.message
        assert hint in error.hint

    def test_it_changes_on_the_way(
        self, files: FileServer, opened: Callable[[], Collection], cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("rasterflight_server.catalog.remote._PART", 1000)
        monkeypatch.setattr("rasterflight_server.catalog.remote._TOGETHER", 1)
        path = f"/index/{snapshot(files)}/assets.arrow"

        class Changing(dict[str, str]):
            asked = 0

            def get(self, key: str, default: str = "") -> str:
                self.asked += key == path
                return f'"{self.asked}"' if key == path else super().get(key, default)

        files.faults.etag = Changing()
        error = refused(opened, cache)
        assert (error.code, error.hint) == (
            ErrorCode.SOURCE_CHANGED,
            "it is being built again: wait until that is done",
        )

    def test_a_body_that_ends_too_early(self, files: FileServer, opened: Callable[[], Collection], cache: Path) -> None:
        files.faults.cut_body.add(f"/index/{snapshot(files)}/assets.arrow")
        assert refused(opened, cache).code is ErrorCode.SOURCE_UNAVAILABLE

    @pytest.mark.parametrize(
        ("manifest", "message"),
        [
            ("<html>", "is damaged: it is not JSON"),
            ('{"format": "other"}', "is not an index: its manifest.json is of another kind"),
        ],
    )
    def test_another_file(
        self, files: FileServer, opened: Callable[[], Collection], manifest: str, message: str
    ) -> None:
        (files.root / "index" / "manifest.json").write_text(manifest)
        with pytest.raises(BadIndexError, match=message):
            opened()

    def test_a_snapshot_that_leads_elsewhere(self, files: FileServer, opened: Callable[[], Collection]) -> None:
        path = files.root / "index" / "manifest.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "snapshot": "../../x"}))
        with pytest.raises(BadIndexError, match=r"'\.\./\.\./x' cannot be a snapshot"):
            opened()

    def test_no_place_to_keep_it(self, files: FileServer, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(BadIndexError, match=r"cannot be kept in .*: Not a directory") as caught:
            Collection.open(f"{files.url}/index", cache=tmp_path / "file" / "cache")
        assert caught.value.hint == "name a folder that can be written by --index-cache"

    def test_said_by_the_command(self, files: FileServer, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
        # The query may be a signature: it is sent, and not shown.
        url = f"{files.url}/nothing?sig=secret"
        assert main(["serve", f"--collection=x={url}", f"--index-cache={cache}"]) == 1
        said = capsys.readouterr().err
        assert (
            f"error: the index '{files.url}/nothing' cannot be fetched: manifest.json: the file does not exist" in said
        )
        assert "secret" not in said
        assert files.requests[0].path == "/nothing/manifest.json?sig=secret"


@pytest.mark.parametrize(
    ("url", "path", "expected"),
    [
        ("https://h/a/index", "b c/x#1.tif", "https://h/a/b%20c/x%231.tif"),
        ("https://h/a/index/?sig=1", "x.tif", "https://h/a/x.tif?sig=1"),
        ("https://h/index", "x.tif", "https://h/x.tif"),
        ("s3://bucket/a/index", "b c/x.tif", "s3://bucket/a/b c/x.tif"),
    ],
)
def test_files_beside_an_index(url: str, path: str, expected: str) -> None:
    assert beside(url, path) == expected


def test_where_it_is_kept_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "rasterflight" / "indexes"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert default_cache() == Path("/home/somebody/.cache/rasterflight/indexes")
