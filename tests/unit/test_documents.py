"""What the documents say holds: their commands and settings are taken, their tables are whole, and what they name is there."""

import re
import shlex
from pathlib import Path

import pytest

import rasterflight.cli
import rasterflight_server.cli
from rasterflight_protocol import ErrorCode
from rasterflight_server.catalog.configuration import Configuration
from rasterflight_server.commands.flags import load_settings
from rasterflight_server.flight.observe import metrics
from rasterflight_server.flight.observe.tally import Tally
from rasterflight_server.settings.keys import all_keys
from rasterflight_server.settings.load import load
from rasterflight_server.store import StorageOptions
from rasterflight_server.telemetry import Telemetry

ROOT = Path(__file__).parents[2]
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
SECURITY = (ROOT / "SECURITY.md").read_text()
DOCUMENTS = {name: (ROOT / name).read_text() for name in ("README.md", "docs/operations.md")}


def blocks(language: str) -> list[tuple[str, str]]:
    """Blocks of the documents: where, and what."""
    return [
        (name, re.sub(r"^[ ]+(?=\S)", "", text, flags=re.MULTILINE))
        for name, document in DOCUMENTS.items()
        for text in re.findall(rf"^[ ]*```{language}\n(.*?)^[ ]*```", document, flags=re.MULTILINE | re.DOTALL)
    ]


def commands() -> list[str]:
    lines = [line for _, text in blocks("sh") for line in text.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line.startswith(("rasterflight ", "rasterflight-server "))]


def test_there_are_some() -> None:
    assert len(commands()) > 30
    assert {name for name, _ in blocks("toml")} == set(DOCUMENTS)


@pytest.mark.parametrize("command", commands())
def test_commands_are_understood(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, *words = shlex.split(command.partition(" > ")[0], comments=True)
    parser = (rasterflight if program == "rasterflight" else rasterflight_server).cli._parser()
    options = parser.parse_args(words)
    if words[0] in ("serve", "config"):
        # A file that they name is another matter.
        monkeypatch.chdir(tmp_path)
        (tmp_path / "rasterflight.toml").write_text("")
        load_settings(options)


@pytest.mark.parametrize(("name", "text"), [pytest.param(*block, id=block[1][:30]) for block in blocks("toml")])
def test_settings_can_be_used(name: str, text: str, tmp_path: Path) -> None:
    if text.startswith("# rasterflight.toml"):
        path = tmp_path / "rasterflight.toml"
        path.write_text(text)
        assert load(path).given
        return
    assert text.startswith("# collection.toml") or name == "README.md"
    for prefix, options in Configuration.parse(text.encode()).storage.items():
        StorageOptions.parse(options, prefix)


def rows(heading: str) -> list[list[str]]:
    """The rows of the table below a heading of the operator's document."""
    section = OPERATIONS.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line] for line in lines[2:]]


def test_limits_and_their_defaults() -> None:
    told = {name.strip("`"): default for name, default, _ in rows("Limits")}
    keys = {name: key for name, key in all_keys().items() if name.startswith("limits.")}
    assert told == {name: "unset" if key.default is None else key.kind.write(key.default) for name, key in keys.items()}


def test_every_code_is_told() -> None:
    told = [code for codes, _ in rows("When something is wrong") for code in codes.split(", ")]
    assert sorted(told) == sorted(code.code for code in ErrorCode)


def test_metrics_are_told() -> None:
    section = OPERATIONS.split("All metrics begin with", 1)[1].split("Worth an alert", 1)[0]
    told = {re.sub(r"(_total)?(\{.*\})?$", "", name) for name in re.findall(r"`([^`]+)`", section)}
    tables = (metrics._COUNTS, metrics._OF_CALLERS, metrics._DURATIONS)
    there = {name for table in tables for name, *_ in table.values()}
    source = Path(metrics.__file__).read_text()
    there |= set(re.findall(r'_PREFIX \+ "(\w+)"', source)) | set(re.findall(r'_gauge\("(\w+)"', source))
    assert told - {"rasterflight_", "", "--workers"} == there


def test_fields_of_the_access_log_are_told() -> None:
    section = OPERATIONS.split("- **Access log**", 1)[1].split("- **Tracing**", 1)[0]
    tally = Tally(Telemetry(), "DoGet", "id", None)
    tally.end()
    assert set(tally.told()) <= set(re.findall(r"`(\w+)`", section))


def test_settings_that_are_named_are_there() -> None:
    named = re.findall(r"`((?:server|cache|tls|access|limits|observe)\.[\w.]+)", OPERATIONS + SECURITY)
    known = {*all_keys(), *(name.rpartition(".")[0] for name in all_keys())}
    assert [name for name in named if name not in known] == []
    variables = {key.variable for key in all_keys().values()} | {"RASTERFLIGHT_SETTINGS"}
    assert set(re.findall(r"`(RASTERFLIGHT_\w+)`", OPERATIONS)) <= variables


def test_storage_options_that_are_named_are_there() -> None:
    section = OPERATIONS.split("\n## Stores\n", 1)[1].split("\n## ", 1)[0]
    named = set(re.findall(r"`(\w+)(?: = \w+)?`", section)) - set(re.findall(r"`([A-Z_0-9]+)`", section))
    assert named <= set(StorageOptions.__dataclass_fields__)


def test_files_and_tests_that_are_named_are_there() -> None:
    server, tests = ROOT / "server/rasterflight_server", ROOT / "tests"
    modules = re.findall(r"`((?!unit/|integration/|parity/)\w+(?:/\w+)*\.py)`", SECURITY)
    assert len(modules) > 20
    assert [name for name in modules if not (server / name).exists()] == []
    functions = re.findall(r"`((?:unit|integration|parity)/\w+\.py)::(\w+)`", SECURITY)
    assert len(functions) > 20
    for file, function in functions:
        text = (tests / file).read_text()
        assert f"def {function}(" in text, (file, function)


@pytest.mark.parametrize("name", ["docs/operations.md", "docs/performance.md", "README.md", "SECURITY.md"])
def test_links_lead_somewhere(name: str) -> None:
    document = ROOT / name
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
        assert (document.parent / link).exists(), link
