"""A process that answers cases, apart from the one that watches it, so that it may crash and hang."""

import json
import os
import resource
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import psutil  # noqa: E402

from fuzz.cases import case  # noqa: E402
from fuzz.inprocess import Answers  # noqa: E402
from fuzz.judge import Bug  # noqa: E402


def main(index: Path, seed: int, first: int, step: int, end: int, at: Path) -> None:
    answers = Answers({"ny": index})
    me = psutil.Process()
    warm: list[int] = []
    place = os.open(at, os.O_WRONLY | os.O_CREAT)
    numbers = range(first, end, step)
    for count, number in enumerate(numbers):
        os.pwrite(place, f"{number:20}".encode(), 0)
        try:
            answers(case(seed, number))
        except Bug as bug:
            print(json.dumps({"number": number, "bug": str(bug)}), flush=True)
        if count == len(numbers) // 5:
            warm = [me.memory_info().rss, me.num_threads(), me.num_fds()]
    done = [me.memory_info().rss, me.num_threads(), me.num_fds()]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    answers.close()
    print(json.dumps({"codes": answers.codes, "warm": warm, "done": done, "peak": peak}), flush=True)


if __name__ == "__main__":
    _, index_, seed_, first_, step_, end_, at_ = sys.argv
    main(Path(index_), int(seed_), int(first_), int(step_), int(end_), Path(at_))
