"""Work of a build that is done for many records at once, or by a short way: it comes out as one by one and the long way."""

from os.path import normpath
from pathlib import Path

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from rasterflight_server.ingest.measured import measured
from rasterflight_server.ingest.registry import NumberedProfiles
from rasterflight_server.ingest.sources import Failure, RecordSource
from rasterflight_server.ingest.stacassets import resolve_href
from rasterflight_server.types import BandMeta, Profile

PARTS = st.sampled_from(["", ".", "..", "/", "//", "a", "b c", "é", "...", "a.tif", "\\", "%20", "~", "?"])


@given(parts=st.lists(PARTS, max_size=8), slash=st.booleans())
def test_joined_as_paths_are(parts: list[str], slash: bool) -> None:
    href = ("/" if slash else "").join(parts)
    location = "/data/catalog/items.parquet"
    assert resolve_href(href, location) == normpath(Path("/data/catalog").resolve() / href)


@pytest.mark.parametrize("count", [0, 1, 64, 65, 200])
def test_geometries_measured_together(count: int) -> None:
    found = [
        Failure(f"{n}", "", "broken")
        if n % 7 == 3
        else RecordSource(f"{n}", (), geometry=None if n % 5 == 1 else shapely.box(n, 0, n + 1, 1))
        for n in range(count)
    ]
    each = list(measured(found))
    assert [one.record for one in each] == found
    for one in each:
        geometry = None if isinstance(one.record, Failure) else one.record.geometry
        assert one.wkb == (None if geometry is None else geometry.wkb)
        if geometry is not None:
            assert one.bounds == geometry.bounds


def test_profiles_by_identity_and_by_value() -> None:
    numbered = NumberedProfiles()
    for n in [*range(5000), *range(5000)]:  # more objects than are kept
        assert numbered.number(Profile((), (BandMeta(unit=str(n)),), None)) == n
    assert len(numbered.values) == 5000
