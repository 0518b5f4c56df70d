"""``make soak``: 64 clients for ten minutes; prints what came of it, and fails where something should not be."""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path[0] = str(Path(__file__).resolve().parents[1])

from soak.soak import soak  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--clients", type=int, default=8, help="of each process")
    parser.add_argument("--kill-every", type=float, default=10.0, help="seconds between processes that are killed")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="rf-soak-") as folder:
        findings = soak(
            Path(folder),
            seconds=60 * options.minutes,
            processes=options.processes,
            clients=options.clients,
            kill_every=options.kill_every,
        )
    print(findings.report())
    complaints = findings.complaints()
    print("\n".join(complaints) or "all as it should be")
    return int(bool(complaints))


if __name__ == "__main__":
    sys.exit(main())
