"""Generate the Python messages in ``rasterflight_protocol/v1`` from the .proto files; ``--check`` only compares.

The messages of Flight SQL are not made into Python: two packages with modules of them cannot be loaded together. Their descriptors
are written to one file, which the server loads into a pool of its own.

protoc 25 is pinned on purpose: newer generators add a check that refuses other runtimes than their own,
the output of this one loads on every protobuf runtime from 5 on.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = HERE / "python" / "rasterflight_protocol" / "v1"
DESCRIPTORS = HERE.parent / "server" / "rasterflight_server" / "sql" / "flightsql.binpb"


def generate(out: Path) -> dict[str, str]:
    """Run protoc; return file name -> text, with module paths that fit the package."""
    _protoc("rasterflight/v1/*.proto", f"--python_out={out}", f"--pyi_out={out}")
    return {
        path.name: path.read_text()
        .replace("from rasterflight.v1 import", "from rasterflight_protocol.v1 import")
        .replace("'rasterflight.v1.", "'rasterflight_protocol.v1.")
        for path in sorted((out / "rasterflight" / "v1").iterdir())
    }


def describe(out: Path) -> bytes:
    """Run protoc; return the descriptors of Flight SQL."""
    _protoc("arrow/*.proto", f"--descriptor_set_out={out / DESCRIPTORS.name}")
    return (out / DESCRIPTORS.name).read_bytes()


def _protoc(pattern: str, *arguments: str) -> None:
    protos = sorted(str(path.relative_to(HERE)) for path in HERE.glob(pattern))
    protoc = Path(sys.executable).with_name("protoc")
    subprocess.run([protoc, "-I.", *arguments, *protos], cwd=HERE, check=True)  # noqa: S603 - fixed command, own files


def main() -> int:
    """Write the modules and descriptors, or compare them."""
    with tempfile.TemporaryDirectory() as folder:
        modules = generate(Path(folder))
        descriptors = describe(Path(folder))
    if "--check" in sys.argv[1:]:
        present = {path.name: path.read_text() for path in TARGET.glob("*_pb2.py*")}
        stale = sorted(name for name in {*present, *modules} if present.get(name) != modules.get(name))
        if not DESCRIPTORS.exists() or DESCRIPTORS.read_bytes() != descriptors:
            stale.append(DESCRIPTORS.name)
        if not stale:
            return 0
        print(f"not what proto/ says: {', '.join(stale)}; run 'make proto'", file=sys.stderr)
        return 1
    for path in TARGET.glob("*_pb2.py*"):
        path.unlink()
    for name, text in modules.items():
        (TARGET / name).write_text(text)
    DESCRIPTORS.write_bytes(descriptors)
    return 0


if __name__ == "__main__":
    sys.exit(main())
