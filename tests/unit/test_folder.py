from datetime import datetime
from pathlib import Path

import pytest

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.ingest.folder import read_folder
from rasterflight_server.ingest.sources import Failure, RecordSource


def find(folder: Path, pattern: str | None, *names: str) -> dict[str, RecordSource]:
    found = everything(folder, pattern, *names)
    assert all(isinstance(record, RecordSource) for record in found), found
    return {record.id: record for record in found if isinstance(record, RecordSource)}


def everything(folder: Path, pattern: str | None, *names: str) -> list[RecordSource | Failure]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return list(read_folder(folder, pattern))


def bands(record: RecordSource) -> dict[str, str]:
    return {asset.key: Path(asset.href).name for asset in record.assets}


def test_id_and_band(tmp_path: Path) -> None:
    found = find(tmp_path, "{id}_{band}.tif", "LC08_x_B4.tif", "LC08_x_B5.tif", "LC08_y_B4.tif", "readme.txt")
    assert {record: bands(value) for record, value in found.items()} == {
        "LC08_x": {"B4": "LC08_x_B4.tif", "B5": "LC08_x_B5.tif"},
        "LC08_y": {"B4": "LC08_y_B4.tif"},
    }
    asset = found["LC08_y"].assets[0]
    assert (asset.single, asset.unnamed, asset.by_description) == ("B4", "B4_", False)


def test_properties_and_dates(tmp_path: Path) -> None:
    found = find(tmp_path, "{tile}/{datetime}_{sensor}_{band}.tif", "31U/20240102_s2_red.tif")
    (record,) = found.values()
    assert (record.id, record.when) == ("31U/20240102_s2", datetime(2024, 1, 2))  # noqa: DTZ001
    assert record.properties == {"tile": "31U", "sensor": "s2"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024", datetime(2024, 1, 1)),  # noqa: DTZ001
        ("20240131", datetime(2024, 1, 31)),  # noqa: DTZ001
        ("2024-01-31", datetime(2024, 1, 31)),  # noqa: DTZ001
        ("20240131T102030", datetime(2024, 1, 31, 10, 20, 30)),  # noqa: DTZ001
        ("20240131T102030Z", datetime(2024, 1, 31, 10, 20, 30)),  # noqa: DTZ001
        ("2024-01-31T10:20:30Z", datetime(2024, 1, 31, 10, 20, 30)),  # noqa: DTZ001
        ("2024-01-31T10:20:30+02:00", datetime(2024, 1, 31, 8, 20, 30)),  # noqa: DTZ001
    ],
)
def test_dates(tmp_path: Path, text: str, expected: datetime) -> None:
    (record,) = find(tmp_path, "{id}_{datetime}.tif", f"a_{text}.tif").values()
    assert record.when == expected


@pytest.mark.parametrize(
    ("pattern", "name", "record"),
    [
        ("{scene}_{band}.tif", "a_B4.tif", "a"),
        ("{band}_{scene}.tif", "B4_a.tif", "a"),
        ("{scene}_{band}_x.tif", "a_B4_x.tif", "a_x"),
        ("{scene}/{band}.tif", "a/B4.tif", "a"),
        ("{scene}/*_{band}.tif", "a/b_B4.tif", "a/b"),
        ("{scene}.tif", "a.b.tif", "a.b"),
        ("{band}.tif", "B4.tif", "FOLDER"),
        ("{id}/*_{band}.TIF", "a/whatever_B4.TIF", "a"),
    ],
)
def test_ids(tmp_path: Path, pattern: str, name: str, record: str) -> None:
    assert list(find(tmp_path, pattern, name)) == [record.replace("FOLDER", tmp_path.name)]


def test_without_pattern_every_file_is_a_record(tmp_path: Path) -> None:
    found = find(tmp_path, None, "a.tif", "sub/b.TIFF", "c.txt")
    assert list(found) == ["a", "sub/b"]
    (asset,) = found["a"].assets
    assert (asset.key, asset.single, asset.unnamed, asset.by_description) == ("image", None, "band_", True)


@pytest.mark.parametrize(
    ("pattern", "names", "reason"),
    [
        ("{id}_{band}.tif", ["a_B4.tif", "odd.tif"], "odd.tif: its name does not fit the pattern"),
        ("{id}_{band}.tif", ["a_B4.tif", "sub/b_B4.tif"], "sub/b_B4.tif: its name does not fit the pattern"),
        (
            "{id}_{datetime}.tif",
            ["a_20240101.tif", "b_20241301.tif"],
            "b_20241301.tif: '20241301' in its name is not a date",
        ),
        (
            "{id}_*_{band}.tif",
            ["a_1_B4.tif", "a_2_B4.tif"],
            "a_2_B4.tif: the record 'a' has another band 'B4': a_1_B4.tif",
        ),
        ("{id}_*.tif", ["a_1.tif", "a_2.tif"], "a_2.tif: the record 'a' has another file: a_1.tif"),
        (
            "{id}_{split}_{band}.tif",
            ["a_test_B4.tif", "a_train_B5.tif"],
            "a_train_B5.tif: its date or properties differ from those of other files of the record 'a'",
        ),
    ],
)
def test_failures(tmp_path: Path, pattern: str, names: list[str], reason: str) -> None:
    found = everything(tmp_path, pattern, *names)
    assert [str(failure) for failure in found if isinstance(failure, Failure)] == [reason]
    assert sum(isinstance(record, RecordSource) for record in found) == 1


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("x.tif", "the pattern 'x.tif' has no field"),
        ("", "the pattern '' has no field"),
        ("{id}_{id}.tif", "the field {id} stands twice in the pattern '{id}_{id}.tif'"),
        ("{id", "'{' in the pattern '{id' is not a field"),
        ("id}.tif", "'}' in the pattern 'id}.tif' is not a field"),
        ("{}.tif", "'{}' in the pattern '{}.tif' is not a field"),
        ("{1st}.tif", "'{1st}' in the pattern '{1st}.tif' is not a field"),
        ("{id:03}.tif", "'{' in the pattern '{id:03}.tif' is not a field"),
    ],
)
def test_bad_patterns(tmp_path: Path, pattern: str, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        everything(tmp_path, pattern, "a.tif")
    assert (caught.value.code, caught.value.message, caught.value.field) == (ErrorCode.BAD_REQUEST, message, "pattern")
    assert "{id}_{band}.tif" in caught.value.hint
