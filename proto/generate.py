"""Generate the Python messages in ``rasterflight_protocol/v1`` from the .proto files; ``--check`` only compares.

protoc 25 is pinned on purpose: newer generators add a check that refuses other runtimes than their own,
the output of this one loads on every protobuf runtime from 5 on.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = HERE / "python" / "rasterflight_protocol" / "v1"


def generate(out: Path) -> dict[str, str]:
    """Run protoc; return file name -> text, with module paths that fit the package."""
    protos = sorted(str(path.relative_to(HERE)) for path in HERE.glob("rasterflight/v1/*.proto"))
    protoc = Path(sys.executable).with_name("protoc")
    subprocess.run(  # noqa: S603 - fixed command, own files
        [protoc, "-I.", f"--python_out={out}", f"--pyi_out={out}", *protos], cwd=HERE, check=True
    )
    return {
        path.name: path.read_text()
        .replace("from rasterflight.v1 import", "from rasterflight_protocol.v1 import")
        .replace("'rasterflight.v1.", "'rasterflight_protocol.v1.")
        for path in sorted((out / "rasterflight" / "v1").iterdir())
    }


def main() -> int:
    """Write the modules, or compare them."""
    with tempfile.TemporaryDirectory() as folder:
        modules = generate(Path(folder))
    if "--check" in sys.argv[1:]:
        present = {path.name: path.read_text() for path in TARGET.glob("*_pb2.py*")}
        if present == modules:
            return 0
        stale = sorted(name for name in {*present, *modules} if present.get(name) != modules.get(name))
        print(f"not what proto/ says: {', '.join(stale)}; run 'make proto'", file=sys.stderr)
        return 1
    for path in TARGET.glob("*_pb2.py*"):
        path.unlink()
    for name, text in modules.items():
        (TARGET / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
