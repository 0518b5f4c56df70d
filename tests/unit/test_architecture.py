"""ARCHITECTURE.md names every module."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "rasterflight_protocol": ROOT / "proto" / "python" / "rasterflight_protocol",
    "rasterflight": ROOT / "client" / "python" / "rasterflight",
    "rasterflight_server": ROOT / "server" / "rasterflight_server",
}


def modules() -> list[str]:
    found = []
    for folder in PACKAGES.values():
        for path in sorted(folder.rglob("*.py")):
            name = path.relative_to(folder)
            if path.name != "__init__.py" and "_pb2" not in path.name:
                found.append(str(name))
    return found


def test_every_module_is_described() -> None:
    lines = (ROOT / "ARCHITECTURE.md").read_text().splitlines()
    described = [line.split("`")[1] for line in lines if line.startswith("| `") and ".py`" in line]
    assert sorted(described) == sorted(modules())
