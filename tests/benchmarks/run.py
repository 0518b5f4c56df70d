"""Read scenes with rasterflight, with the floor and with other libraries in turn; check that results are equal; print ratios.

Ratios are what to quote: they hold when the machine is slow, if it is quiet. ``docs/performance.md`` says what is measured.
"""

import argparse
import json
import os
import platform
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[0] = str(TESTS)

from benchmarks.fileserver import FileServer  # noqa: E402
from benchmarks.readers import READERS  # noqa: E402
from benchmarks.report import readers_table, targets_table  # noqa: E402
from benchmarks.runner import Runner, judge, versions  # noqa: E402
from benchmarks.scenarios import SCENARIOS  # noqa: E402
from benchmarks.scenes import SCALES, make_scenes  # noqa: E402

OUT = TESTS.parent / "out" / "bench"
TRANSPORTS = ("local", "http")
WAIT = 0.03


def main() -> int:
    options = _parser().parse_args()
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
    differences = judge(rows)
    print(f"\n{readers_table(rows)}\n\n{targets_table(rows)}\n")
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
    result = {"scale": scale, "machine": machine, "versions": versions(rows), "missing": runner.missing, "rows": rows}
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.json or options.out / "results.json"
    path.write_text(json.dumps(result, indent=1))
    print(f"written to {path}")
    failures = [
        f"{row['reader']} on {row['scenario']}, {row['transport']}: {row['error']}" for row in rows if "error" in row
    ]
    for text in differences + failures:
        print(text, file=sys.stderr)
    return int(bool(differences))


def _parser() -> argparse.ArgumentParser:
    scenarios = "\n".join(f"  {name:4} {text}" for name, text in SCENARIOS.items())
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=f"scenarios:\n{scenarios}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="smaller and fewer scenes, one run: under 3 minutes in all"
    )
    parser.add_argument("--scenarios", type=_several(SCENARIOS), default=tuple(SCENARIOS), metavar="A,B")
    parser.add_argument("--transports", type=_several(TRANSPORTS), default=TRANSPORTS, metavar="local,http")
    parser.add_argument("--readers", type=_several(READERS), default=tuple(READERS), metavar=",".join(READERS))
    parser.add_argument("--repeats", type=int, help="processes of each reader (5; with --quick 1)")
    parser.add_argument("--calls", type=int, help="reads of each process, the first is cold (3; with --quick 2)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of the scenes; those that lack are made")
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR", help="folder for indexes and results")
    parser.add_argument("--json", type=Path, metavar="FILE", help="results (DIR/results.json)")
    parser.add_argument("--peers-python", metavar="PATH", help="interpreter that has the libraries of others")
    return parser


def _several(known):
    def names(text: str) -> tuple[str, ...]:
        given = tuple(text.split(","))
        if unknown := [name for name in given if name not in known]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(known)}")
        return given

    return names


if __name__ == "__main__":
    raise SystemExit(main())
