"""Half a minute of what ``make soak`` does for ten."""

from pathlib import Path

from soak.soak import soak


def test_soak(tmp_path: Path) -> None:
    findings = soak(tmp_path, seconds=25, processes=3, clients=4, kill_every=5)
    assert findings.complaints() == [], findings.report()
    assert findings.killed >= 2
