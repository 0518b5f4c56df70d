"""Damaged files: what comes back is what rasterio reads, or an error; never other pixels, never a hang, never a crash."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from rasterflight_server.errors import SourceError
from support.engine import Engine, engine
from support.matrix import CASES

pytestmark = [
    pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning"),
    # rasterio cannot print messages of GDAL that quote damaged text
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

#: What one file may take: damage can make a small image a large one.
MAX_PIXELS = 4_000_000
# What libjpeg and WebP make of damaged pixels differs from build to build, and is no error to them.
BASES = [case for case in CASES if not case.name.startswith(("jpeg", "webp", "ccitt"))][::23]
PLACES = {"header": 700, "anywhere": 1 << 20}


@pytest.fixture(scope="module")
def reads() -> Iterator[Engine]:
    with engine() as made:
        yield made


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    path = tmp_path_factory.mktemp("bases") / "x.tif"
    contents = []
    for case in BASES:
        path.unlink(missing_ok=True)
        case.write(path)
        contents.append(path.read_bytes())
    return contents


@pytest.mark.parametrize("place", PLACES)
@settings(
    deadline=2000, max_examples=300, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(damage=st.data())
def test_damage(tmp_path: Path, reads: Engine, bases: list[bytes], place: str, damage: st.DataObject) -> None:
    raw = bytearray(damage.draw(st.sampled_from(bases)))
    for _ in range(damage.draw(st.integers(1, 4))):
        at = damage.draw(st.integers(4, min(PLACES[place], len(raw)) - 4))
        piece = damage.draw(st.one_of(st.binary(min_size=1, max_size=4), st.sampled_from([b"\0" * 4, b"\xff" * 4])))
        raw[at : at + len(piece)] = piece
    path = tmp_path / "x.tif"
    path.write_bytes(raw[: damage.draw(st.one_of(st.just(len(raw)), st.integers(1, len(raw))))])
    try:
        header = reads.header(path)
        full = header.profile.levels[0]
        assume(full.width * full.height * full.samples <= MAX_PIXELS)
        found = reads.read_known(path, header)
    except SourceError as error:
        assert error.message  # noqa: PT017
        return
    expected = from_rasterio(path)
    # A tile whose offset is 0 is not stored; GDAL reads the header of the file as its pixels when it has a byte count.
    if expected is not None and (header.tiles[0].counts > 0).all():
        assert found.dtype == expected.dtype
        assert np.array_equal(found, expected, equal_nan=found.dtype.kind in "fc")


def from_rasterio(path: Path) -> np.ndarray | None:
    try:
        with rasterio.open(path) as dataset:
            return dataset.read()
    except (rasterio.errors.RasterioError, UnicodeDecodeError):
        return None
