"""Records from files that wildcards and listings find."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rasterflight_server.ingest.files import is_glob, is_prefix, read_glob, read_prefix
from rasterflight_server.ingest.sources import Failure, RecordSource
from rasterflight_server.store import Stores
from rasterflight_server.types import Identity

NAMES = ["2023/a_B04.tif", "2023/a_B08.tif", "2023/deep/b_B04.TIFF", "2024/c_B04.tif", "2024/readme_B04.txt"]


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    for name in NAMES:
        (tmp_path / "scenes" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "scenes" / name).touch()
    return tmp_path / "scenes"


def ids(found: list[RecordSource | Failure]) -> list[str]:
    assert all(isinstance(record, RecordSource) for record in found), found
    return [record.id for record in found if isinstance(record, RecordSource)]


class TestGlob:
    def test_what_is_one(self, scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert is_glob("scenes/**/*.tif")
        assert is_glob("a[12].tif")
        assert not is_glob("scenes")
        assert not is_glob("https://host/what?a=*")
        (scenes.parent / "odd[1]").mkdir()
        monkeypatch.chdir(scenes.parent)
        assert not is_glob("odd[1]")

    def test_any_folders(self, scenes: Path) -> None:
        found = list(read_glob(f"{scenes}/**/*_B04.*", None))
        assert ids(found) == ["2023/a_B04", "2023/deep/b_B04", "2024/c_B04"]
        assert found[0].assets[0].href == str(scenes / "2023" / "a_B04.tif")

    def test_with_a_pattern(self, scenes: Path) -> None:
        found = list(read_glob(f"{scenes}/2023/*.tif", "{id}_{band}.tif"))
        assert ids(found) == ["a"]
        assert [asset.key for asset in found[0].assets] == ["B04", "B08"]

    def test_relative_to_where_we_are(self, scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(scenes)
        found = list(read_glob("*/c*.tif", None))
        assert ids(found) == ["2024/c_B04"]
        assert Path(found[0].assets[0].href).is_absolute()

    def test_files_that_do_not_fit(self, scenes: Path) -> None:
        found = list(read_glob(f"{scenes}/*/*.tif", "{id}_B08.tif"))
        assert [str(each) for each in found if isinstance(each, Failure)] == [
            "2023/a_B04.tif: its name does not fit the pattern",
            "2023/a_B08.tif: its name does not fit the pattern",
            "2024/c_B04.tif: its name does not fit the pattern",
        ]


class Listing(Stores):
    """Stores that list what the tests name, by the URLs that they have for it."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def list_files(self, url: str) -> Iterator[tuple[str, Identity]]:
        return iter([(f"{self._url}{name}", Identity(1)) for name in reversed(NAMES)])


class TestPrefix:
    def test_what_is_one(self) -> None:
        assert is_prefix("s3://bucket/scenes/")
        assert not is_prefix("s3://bucket/scenes/items.json")
        assert not is_prefix("https://host/?collection=x")
        assert not is_prefix("scenes/")

    def test_names_start_below_the_prefix(self) -> None:
        found = list(read_prefix("s3://bucket/scenes/", "{year}/*{id}_{band}.tif", Listing("s3://bucket/scenes/")))
        assert [str(each) for each in found if isinstance(each, Failure)] == [
            "2023/deep/b_B04.TIFF: its name does not fit the pattern"
        ]
        records = {each.id: each for each in found if isinstance(each, RecordSource)}
        assert {key: record.properties for key, record in records.items()} == {
            "a": {"year": "2023"},
            "c": {"year": "2024"},
        }
        assert records["c"].assets[0].href == "s3://bucket/scenes/2024/c_B04.tif"

    def test_urls_that_name_the_account(self) -> None:
        stores = Listing("abfs://box@account.dfs.core.windows.net/scenes/")
        found = list(read_prefix("az://box/scenes/", None, stores))
        assert ids(found) == ["2023/a_B04", "2023/a_B08", "2023/deep/b_B04", "2024/c_B04"]
        assert found[0].assets[0].href == "abfs://box@account.dfs.core.windows.net/scenes/2023/a_B04.tif"
