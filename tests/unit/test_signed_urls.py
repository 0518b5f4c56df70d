"""Signatures in URLs and tokens of options: in nothing that is written, printed or answered, but the href that needs it."""

import logging
from pathlib import Path

import pytest

from rasterflight_server.errors import SourceError
from rasterflight_server.ingest import build_index, update_index
from rasterflight_server.store import StorageOptions, Stores
from support.direct import opened
from support.gate import Answer, Asked, Gate
from support.http_server import FileServer
from support.scenes import noise, write_items, write_scene


def everything(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_of_a_build(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    (tmp_path / "web").mkdir()
    write_scene(tmp_path / "web" / "a.tif", noise(32, 32), tile=32)
    with FileServer(tmp_path / "web") as server:
        server.faults.status = {"/b.tif": 403, "/c.tif": 500}
        names = {"a": "hush-kept", "b": "hush-b", "c": "hush-c", "d": "hush-d"}
        hrefs = {name: {"red": f"{server.url}/{name}.tif?sig={secret}"} for name, secret in names.items()}
        items = write_items(tmp_path / "items.json", hrefs)
        report = build_index(items, tmp_path / "index", "files")
        assert len(report.failures) == 6
        update_index(tmp_path / "index")
        said = "\n".join([repr(report), *map(str, report.failures), caplog.text])
        assert "hush" not in said
        holding = {name for name, content in everything(tmp_path / "index").items() if b"hush" in content}
        assert [name.rpartition("/")[2] for name in holding] == ["assets.arrow"]
        assert not any(
            b"hush-" + end in content
            for content in everything(tmp_path / "index").values()
            for end in (b"b", b"c", b"d")
        )
        server.faults.status["/a.tif"] = 403
        with opened(tmp_path / "index") as files, pytest.raises(SourceError) as caught:
            files.read("a")
    assert "hush" not in str(caught.value) + repr(caught.value) + caplog.text
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("status", [401, 403, 404, 416, 500])
def test_of_logins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    def echo(asked: Asked) -> Answer:
        return Answer(status, f"you sent {asked.headers['authorization']} to {asked.path}".encode())

    (tmp_path / "login").write_text("me:hush-me\n")
    monkeypatch.setenv("RF_TEST_TOKEN", "hush-token")
    for said, sent in (
        ({"login_file": str(tmp_path / "login")}, "Basic bWU6aHVzaC1tZQ=="),
        ({"token_env": "RF_TEST_TOKEN"}, "Bearer hush-token"),
    ):
        with Gate(rule=echo) as gate:
            stores = Stores({gate.url: StorageOptions(allow_http=True, **said)})
            with pytest.raises(SourceError) as caught, stores.open(f"{gate.url}/a.tif?sig=hush-url") as source:
                source.read_range(0, 10)
            assert gate.requests[0].headers["authorization"] == sent
        shown = str(caught.value) + repr(caught.value) + repr(stores) + repr(source)
        assert not any(secret in shown for secret in ("hush", sent, "a.tif"))


def test_a_login_without_a_user(tmp_path: Path) -> None:
    (tmp_path / "login").write_text("hush")
    stores = Stores({"https://host/": StorageOptions(login_file=str(tmp_path / "login"))})
    with (
        pytest.raises(SourceError, match="the login file holds no login") as caught,
        stores.open("https://host/a") as f,
    ):
        f.read_prefix(1)
    assert caught.value.hint == "the operator of the server can mend it: it is USER:PASSWORD"
