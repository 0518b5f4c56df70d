"""Runners of other languages: started, and what they print held against the file."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from conformance.generate import VECTORS

ROOT = Path(__file__).resolve().parents[2]


def needs(client: Path, *tools: str) -> None:
    """Skip, and say why, where the client or what builds it is missing."""
    if not client.is_dir():
        pytest.skip(f"there is no {client.relative_to(ROOT)}")
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"{client.relative_to(ROOT)} IS NOT TESTED: {tool} is not installed")


def play(url: str, command: list[str], folder: Path) -> None:
    """Run a runner; every case must be there, and ok."""
    done = subprocess.run(
        [*command, "--url", url, "--vectors", str(VECTORS)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    verdicts = [json.loads(line) for line in done.stdout.splitlines()]
    names = [case["name"] for case in json.loads(VECTORS.read_text())["cases"]]
    assert [verdict["name"] for verdict in verdicts] == names, done.stderr
    wrong = [f"{verdict['name']}: {verdict.get('why')}" for verdict in verdicts if not verdict["ok"]]
    assert not wrong, "\n".join(wrong)
    assert done.returncode == 0, done.stderr
