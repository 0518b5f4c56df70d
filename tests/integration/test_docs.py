"""The pages in docs/: their Python runs as it stands there, page by page, and prints what the page says it prints."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.server import ServerProcess, run_server_command

ROOT = Path(__file__).resolve().parents[2]
#: Between the outputs of two blocks.
MARK = "\x1e"


@dataclass
class Block:
    """Python of a page, and what is said to come of it."""

    line: int
    code: list[str] = field(default_factory=list)
    #: The block of ``text`` that follows; None: none does.
    output: str | None = None


def blocks(page: Path) -> list[Block]:
    found: list[Block] = []
    language, begin, lines = None, 0, []
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if not line.startswith("```"):
            lines.append(line)
        elif language is None:
            language, begin, lines = line.removeprefix("```"), number, []
        else:
            if language == "python":
                found.append(Block(begin + 1, lines))
            elif language == "text" and found:
                found[-1].output = "\n".join(lines)
            language, lines = None, []
    return found


PAGES = [page for page in sorted((ROOT / "docs").glob("*.md")) if blocks(page)]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    index = tmp_path_factory.mktemp("docs") / "landsat8-ny"
    items = ROOT / "tests" / "data" / "landsat8-ny-cog" / "items.json"
    done = run_server_command("index", items, "--out", index, "--name", "ny")
    assert done.returncode == 0, done.stderr
    with ServerProcess({"ny": index}) as server:
        yield server.url


def test_there_are_pages() -> None:
    assert {page.name for page in PAGES} >= {"duckdb.md", "polars.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_code_of_a_page(page: Path, served: str, tmp_path: Path) -> None:
    found = blocks(page)
    lines: list[str] = []
    for block in found:
        # Each line has its number in the page, for tracebacks.
        lines += [""] * (block.line - 1 - len(lines))
        lines[-1] = f"print({MARK!r}, end='')"
        lines += block.code
    script = tmp_path / f"page_{page.stem}.py"
    script.write_text("\n".join(lines))
    done = subprocess.run(
        [sys.executable, "-W", "error", script],
        cwd=ROOT,
        env={**os.environ, "RASTERFLIGHT_URL": served},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outputs = done.stdout.split(MARK)[1:]
    for block, output in zip(found, outputs, strict=True):
        if block.output is not None:
            assert output.strip() == block.output.strip(), f"line {block.line}"
        else:
            assert not output, f"line {block.line}: the page does not show what is printed"
