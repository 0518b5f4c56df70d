"""Generate the Go messages in ``client/go/rasterflightv1`` from the .proto files; ``--check`` only compares.

The generator is the one that ``client/go/go.mod`` names as a tool, so that messages and runtime are of one version.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODULE = HERE.parent / "client" / "go"
TARGET = MODULE / "rasterflightv1"
PACKAGE = "github.com/rasterflight/rasterflight/client/go/rasterflightv1"


def generate(out: Path) -> dict[str, str]:
    """Run protoc; return file name -> text."""
    go = shutil.which("go")
    if go is None:
        raise SystemExit("go is not installed, and generates the messages")
    plugin = out / "protoc-gen-go"
    subprocess.run(  # noqa: S603 - fixed command
        [go, "build", "-o", plugin, "google.golang.org/protobuf/cmd/protoc-gen-go"], cwd=MODULE, check=True
    )
    protos = sorted(str(path.relative_to(HERE)) for path in HERE.glob("rasterflight/v1/*.proto"))
    # the .proto files are for all languages, so where Go has them is said here
    places = [f"--go_opt=M{proto}={PACKAGE}" for proto in protos]
    protoc = Path(sys.executable).with_name("protoc")
    subprocess.run(  # noqa: S603 - fixed command, own files
        [protoc, "-I.", f"--plugin={plugin}", f"--go_out={out}", f"--go_opt=module={PACKAGE}", *places, *protos],
        cwd=HERE,
        check=True,
    )
    return {path.name: path.read_text() for path in sorted(out.glob("*.pb.go"))}


def main() -> int:
    """Write the files, or compare them."""
    with tempfile.TemporaryDirectory() as folder:
        files = generate(Path(folder))
    present = {path.name: path.read_text() for path in TARGET.glob("*.pb.go")}
    if "--check" in sys.argv[1:]:
        if present == files:
            return 0
        stale = sorted(name for name in {*present, *files} if present.get(name) != files.get(name))
        print(f"not what proto/ says: {', '.join(stale)}; run 'make proto-go'", file=sys.stderr)
        return 1
    TARGET.mkdir(exist_ok=True)
    for name in present:
        (TARGET / name).unlink()
    for name, text in files.items():
        (TARGET / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
