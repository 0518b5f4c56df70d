"""Calls that nobody would make in good faith: refused in plain words, and the server is as it was. ``make fuzz`` makes many more."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import rasterflight as rf
from conftest import COLLECTIONS
from fuzz.cases import Case, case
from fuzz.inprocess import Answers
from fuzz.wire import Wire
from support.oracle import layers, whole
from support.server import ServerProcess
from support.telemetry import stats

MIB = 1 << 20
SEED = 8
#: Calls that went wrong once.
FOUND = sorted((Path(__file__).parents[1] / "data" / "fuzz").glob("*.json"))


@pytest.fixture(scope="module")
def answers(indexes: dict[str, Path]) -> Iterator[Answers]:
    with closing(Answers({"ny": indexes["ny"]})) as answers:
        yield answers


@pytest.fixture(scope="module")
def hardened(indexes: dict[str, Path]) -> Iterator[ServerProcess]:
    with ServerProcess({"ny": indexes["ny"]}) as server:
        yield server


@pytest.fixture(scope="module")
def wire(hardened: ServerProcess) -> Iterator[Wire]:
    with closing(Wire(hardened.url)) as wire:
        yield wire


def many(answer: Callable[[Case], str], numbers: range) -> Counter[str]:
    codes: Counter[str] = Counter()
    for number in numbers:
        try:
            codes[answer(case(SEED, number))] += 1
        except Exception as error:
            raise AssertionError(f"case({SEED}, {number})") from error
    return codes


def test_in_process(answers: Answers) -> None:
    codes = many(answers, range(2000))
    # Not all of it is nonsense, and what is nonsense is so in many ways.
    assert codes["OK"] > 300
    assert {"BAD_REQUEST", "BAD_GEOMETRY", "CRS_REQUIRED", "LIMIT_EXCEEDED", "NO_DATA", "UNKNOWN_BAND"} <= set(codes)


def test_through_a_server(hardened: ServerProcess, wire: Wire) -> None:
    codes = many(wire, range(-600, -500))
    before = hardened.rss(), hardened.threads()
    codes += many(wire, range(-500, 0))
    assert codes["OK"] > 100
    assert codes["BAD_REQUEST"] > 100
    assert "Traceback" not in hardened.log
    assert hardened.rss() < before[0] + 64 * MIB
    assert hardened.threads() < before[1] + 16
    assert stats(hardened.url)["streams"] == 0
    with rf.connect(hardened.url) as client:
        found = client.collection("ny").get_numpy(windows=[(0, 0, 30, 20)], bands=["red"])
    folder = Path(__file__).parents[1] / "data" / COLLECTIONS["ny"]
    assert np.array_equal(found, [whole(one).pixels[:20, :30] for one in layers(folder) if one.band == "red"])


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.stem)
def test_what_went_wrong_once(answers: Answers, wire: Wire, path: Path) -> None:
    found = Case.from_json(path.read_text())
    starts = {"no-data": "NO_DATA", "limit": "LIMIT_EXCEEDED"}
    expected = next((code for start, code in starts.items() if path.stem.startswith(start)), "BAD_REQUEST")
    assert answers(found) == wire(found) == expected


@pytest.mark.parametrize("number", range(-40, -20))
def test_a_case_survives_a_file(number: int) -> None:
    assert Case.from_json(case(SEED, number).to_json()) == case(SEED, number)
