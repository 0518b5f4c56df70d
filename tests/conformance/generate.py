"""Writes vectors.json: what the server answers to the cases of ``cases/``; ``--check`` only says whether it has changed."""

import argparse
import difflib
import json
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
from conformance.cases import CASES
from conformance.cases.case import Case
from conformance.runner import ELLIPSIS, Runner
from conformance.served import served

VECTORS = Path(__file__).with_name("vectors.json")
_WIDTH = 140


def generate(url: str) -> str:
    """The text of vectors.json."""
    runner = Runner(url)
    try:
        cases = [_answered(runner, case) for case in CASES]
    finally:
        runner.close()
    return _pretty({"format": 1, "cases": cases}) + "\n"


def _pretty(value: Any, indent: str = "") -> str:
    """JSON for people: what fits into a line is a line."""
    line = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if len(indent) + len(line) <= _WIDTH or not value or not isinstance(value, dict | list):
        return line
    deeper = indent + "  "
    if isinstance(value, list):
        inside = [_pretty(each, deeper) for each in value]
        opening, closing = "[]"
    else:
        inside = [f"{json.dumps(name)}: {_pretty(each, deeper)}" for name, each in value.items()]
        opening, closing = "{}"
    return opening + ",".join(f"\n{deeper}{each}" for each in inside) + f"\n{indent}{closing}"


def _answered(runner: Runner, case: Case) -> dict[str, Any]:
    about = case.to_json()
    [(_, expected), *others] = runner.play(about)
    if "error" in expected:
        expected["on"] = list(dict.fromkeys(found["on"] for found in [expected, *(found for _, found in others)]))
        if case.begins is not None:
            expected["error"]["message"] = case.begins + ELLIPSIS
        if case.timeout is not None:
            expected["code_only"] = True
    elif not expected["progress"]["bytes_total"]:
        del expected["progress"]  # counts what batches take in memory, which is not for all to repeat
    return about | {"expected": expected}


def main() -> int:
    parser = argparse.ArgumentParser(description="Write vectors.json.")
    parser.add_argument("--check", action="store_true", help="only say whether it is up to date")
    options = parser.parse_args()
    with served() as (server, _):
        text = generate(server.url)
    if not options.check:
        VECTORS.write_text(text)
        return 0
    old = VECTORS.read_text()
    print(*difflib.unified_diff(old.splitlines(), text.splitlines(), "vectors.json", "now", lineterm=""), sep="\n")
    return int(old != text)


if __name__ == "__main__":
    sys.exit(main())
