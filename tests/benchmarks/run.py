"""Read scenes with rasterflight, with the floor and with other libraries in turn; check that results are equal; print ratios.

Ratios are what to quote: they hold when the machine is slow, if it is quiet. ``docs/performance.md`` says what is measured.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
sys.path[0] = str(TESTS)

from benchmarks.fileserver import FileServer  # noqa: E402
from benchmarks.readers import PEERS, READERS  # noqa: E402
from benchmarks.report import checks_table, readers_table, targets_table  # noqa: E402
from benchmarks.runner import CHECKS, Runner, judge, versions  # noqa: E402
from benchmarks.scenarios import SCENARIOS  # noqa: E402
from benchmarks.scenes import SCALES, make_scenes  # noqa: E402

OUT = TESTS.parent / "out" / "bench"
TRANSPORTS = ("local", "http")
WAIT = 0.03


def main() -> int:
    options = _parser().parse_args()
    if options.tables:
        earlier = [json.loads(path.read_text()) for path in options.tables]
        return report([row for result in earlier for row in result["rows"]], [c for r in earlier for c in r["checks"]])
    scale = "quick" if options.quick else "full"
    data = (options.data or OUT / scale).resolve()
    print(f"scenes: {data}", flush=True)
    make_scenes(data, SCALES[scale])
    with FileServer(data, wait=WAIT) as files:
        roots = {"local": f"{data}/", "http": f"{files.url}/"}
        runner = Runner(
            data,
            options.out.resolve(),
            {transport: roots[transport] for transport in options.transports},
            peers_python=options.peers_python,
            calls=options.calls or (2 if options.quick else 3),
            say=lambda text: print(text, flush=True),
        )
        readers = runner.build(options.readers)
        rows = list(runner.rows(options.scenarios, readers, options.repeats or (1 if options.quick else 5)))
        checks = []
        if "rasterflight" in readers and "local" in options.transports:
            records = options.records or (50_000 if options.quick else 1_000_000)
            checks = [runner.check(name, records) for name in options.checks]
    status = report(rows, checks)
    path = options.json or options.out / "results.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
    result = {"scale": scale, "machine": machine, "versions": versions(rows), "missing": runner.missing}
    path.write_text(json.dumps({**result, "rows": rows, "checks": checks}, indent=1))
    print(f"written to {path}")
    return status


def report(rows: list[dict[str, Any]], checks: list[dict[str, Any]]) -> int:
    """Print tables and what went wrong; 1 if a result of ours is wrong or missing."""
    differences = judge(rows)
    if rows:
        print(f"\n{readers_table(rows)}\n\n{targets_table(rows)}\n")
    if checks:
        print(f"{checks_table(checks)}\n")
    failed = {
        f"{row['reader']} on {row['scenario']}, {row['transport']}: {row['error']}" for row in rows if "error" in row
    }
    failed |= {f"{check['check']}: {check['error']}" for check in checks if "error" in check}
    wrong = [*differences, *sorted(failed)]
    for text in wrong:
        print(text, file=sys.stderr)
    return int(any(not text.startswith(PEERS) for text in wrong))


def _parser() -> argparse.ArgumentParser:
    scenarios = "\n".join(f"  {name:4} {text}" for name, text in SCENARIOS.items())
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=f"scenarios:\n{scenarios}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="smaller and fewer scenes, one run: under 3 minutes in all")
    add("--scenarios", type=_several(SCENARIOS), default=tuple(SCENARIOS), metavar=",".join(SCENARIOS))
    add("--transports", type=_several(TRANSPORTS), default=TRANSPORTS, metavar=",".join(TRANSPORTS))
    add("--readers", type=_several(READERS), default=tuple(READERS), metavar=",".join(READERS))
    add("--checks", type=_several(CHECKS), default=CHECKS, metavar=",".join(CHECKS), help="of the service; '': none")
    add("--repeats", type=int, help="processes of each reader (5; with --quick 1)")
    add("--calls", type=int, help="reads of each process, the first is cold (3; with --quick 2)")
    add("--records", type=int, help="of the index that is planned on (1000000; with --quick 50000)")
    add("--data", type=Path, metavar="DIR", help="folder of the scenes; those that are missing are made")
    add("--out", type=Path, default=OUT, metavar="DIR", help="folder for indexes and results")
    add("--json", type=Path, metavar="FILE", help="where the results go (results.json in the folder --out)")
    add("--peers-python", metavar="PATH", help="interpreter that has the libraries of others")
    add(
        "--tables",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="measure nothing: tables of earlier results, taken together",
    )
    return parser


def _several(known: Collection[str]) -> Callable[[str], tuple[str, ...]]:
    def names(text: str) -> tuple[str, ...]:
        given = tuple(name for name in text.split(",") if name)
        if unknown := [name for name in given if name not in known]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(known)}")
        return given

    return names


if __name__ == "__main__":
    raise SystemExit(main())
