"""Counters of callers and durations, their sums over processes, and what stays of a process that ended."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rasterflight_server.flight.observe.figures import Figures
from rasterflight_server.flight.observe.team import TeamFigures, answer, ask
from rasterflight_server.telemetry import BOUNDS, MOST_CALLERS, OTHERS, Duration, Telemetry


def test_callers_beyond_the_first_share_counters() -> None:
    telemetry = Telemetry()
    for number in range(MOST_CALLERS + 5):
        telemetry.caller(f"c{number}").add(rows=1)
    callers = telemetry.callers()
    assert len(callers) == MOST_CALLERS + 1
    assert (callers["c0"]["rows"], callers[OTHERS]["rows"]) == (1, 5)
    telemetry.caller("c3").add(rows=1)
    assert telemetry.callers()["c3"]["rows"] == 2


@pytest.mark.parametrize(("seconds", "place"), [(0.0, 0), (0.001, 0), (0.0011, 1), (300.0, 15), (301.0, 16)])
def test_durations_fall_into_classes_by_their_upper_bound(seconds: float, place: int) -> None:
    telemetry = Telemetry()
    telemetry.took(seconds, "plan", "ny")
    [(key, duration)] = telemetry.durations().items()
    assert key == ("plan", "ny")
    assert duration.classes == [int(number == place) for number in range(len(BOUNDS) + 1)]
    assert duration.seconds == seconds


def duration(*seconds: float) -> Duration:
    made = Duration()
    for one in seconds:
        made.add(one)
    return made


def figures(process: int, rows: int, streams: int = 0) -> Figures:
    counts = {"rows": rows, "streams": streams}
    durations = {("rpc", "DoGet", "OK"): duration(*[0.5] * rows), ("rpc", "DoGet", f"C{process}"): duration(2.0)}
    return Figures([process], counts, durations, {"me": counts, f"c{process}": counts}, {"ny": ("s1", 6)})


def test_figures_add_up_and_travel() -> None:
    total = Figures.unpack((figures(1, 3, 1) + figures(2, 4, 2)).pack())
    assert total.processes == [1, 2]
    assert total.counts == {"rows": 7, "streams": 3}
    assert total.calls() == {"DoGet": {"OK": 7, "C1": 1, "C2": 1}}
    assert total.totals() == {"rpc": {"count": 9, "seconds": 7.5}}
    assert (total.callers["me"]["rows"], total.callers["c1"]["rows"]) == (7, 3)
    assert total.collections == {"ny": ("s1", 6)}


def test_callers_of_many_processes_are_bounded_too() -> None:
    many = [Figures(callers={f"p{process}c{number}": {"rows": 1} for number in range(90)}) for process in range(3)]
    callers = sum(many, Figures()).callers
    assert len(callers) == MOST_CALLERS + 1
    assert sum(counts["rows"] for counts in callers.values()) == 270


class Process:
    """Stands for a process whose figures change."""

    def __init__(self, now: Figures) -> None:
        self.now = now

    def __call__(self) -> Figures:
        return self.now


@pytest.fixture
def process(tmp_path: Path) -> tuple[Process, TeamFigures]:
    one = Process(figures(1, 3, 1))
    answer(tmp_path / "1", one)
    answer(tmp_path / "2", Process(figures(2, 4, 2)))
    return one, TeamFigures([tmp_path / "1", tmp_path / "2"])


def test_what_was_counted_stays_when_a_process_is_replaced(process: tuple[Process, Callable[[], Figures]]) -> None:
    one, team = process
    assert team().counts == {"rows": 7, "streams": 3}
    one.now = figures(3, 1, 1)
    for _ in range(2):
        now = team()
        assert now.counts == {"rows": 8, "streams": 3}
        assert now.processes == [3, 2]
        assert now.callers["me"]["rows"] == 8
        assert now.calls()["DoGet"]["OK"] == 8


def test_a_process_that_is_gone_counts_with_what_it_did(tmp_path: Path) -> None:
    team = TeamFigures([tmp_path / "1", tmp_path / "2"])
    assert team().processes == []
    answer(tmp_path / "1", Process(figures(1, 3, 1)))
    assert team().counts == {"rows": 3, "streams": 1}
    (tmp_path / "1").unlink()
    for _ in range(2):
        assert (team().counts, team().processes) == ({"rows": 3, "streams": 0}, [])


def test_nobody_answers(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ask(tmp_path / "1")
