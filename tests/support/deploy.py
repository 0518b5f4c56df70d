"""The files of ``deploy/``, read for what they say."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CONTAINERFILE = DEPLOY / "Containerfile"
UNIT = DEPLOY / "rasterflight.service"
MANIFEST = DEPLOY / "kubernetes.yaml"


@dataclass(frozen=True)
class Instruction:
    """One of a container file."""

    stage: int
    name: str
    rest: str


def instructions() -> list[Instruction]:
    """Those of the container file; stage 0 is before the first FROM."""
    lines = [line for line in CONTAINERFILE.read_text().splitlines() if line and not line.startswith("#")]
    found: list[Instruction] = []
    stage = 0
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        name, _, rest = line.partition(" ")
        stage += name == "FROM"
        found.append(Instruction(stage, name, rest.strip()))
    return found


def unit() -> dict[str, list[str]]:
    """Keys of the systemd unit, whatever their section, with all their values."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        key, separator, value = line.partition("=")
        if separator and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def command_of(key: str) -> list[str]:
    """The words of a command of the unit."""
    (line,) = unit()[key]
    return shlex.split(line)


def manifest() -> dict[str, Any]:
    """The documents of the Kubernetes manifest, by their kind."""
    documents = list(yaml.safe_load_all(MANIFEST.read_text()))
    assert len({document["kind"] for document in documents}) == len(documents)
    return {document["kind"]: document for document in documents}


def settings_text(where: str) -> str:
    """The settings that come with the container, the unit, or the manifest."""
    if where == "kubernetes":
        return str(manifest()["ConfigMap"]["data"]["rasterflight.toml"])
    return (DEPLOY / {"container": "container.toml", "systemd": "rasterflight.toml"}[where]).read_text()
