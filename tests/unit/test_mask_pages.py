"""Which directory of a file is its mask."""

from pathlib import Path

import pytest

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError
from rasterflight_server.ingest.header import Header, read_header
from rasterflight_server.store import open_source
from support.tiff import LONG, SHORT, Tags, tags, tiff

MASK, OVERVIEW, MASK_OVERVIEW = 4, 1, 5


def page(subfile: int, side: int = 32, **changes) -> Tags:
    tiles = (side // 16) ** 2
    shape = {"t256": (LONG, [side]), "t257": (LONG, [side])}
    places = {"t324": (LONG, [1000] * tiles), "t325": (LONG, [256] * tiles)}
    return tags(t254=(LONG, [subfile]), **{**shape, **places, **changes})


def read(tmp_path: Path, *pages: Tags) -> Header:
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(tags(), *pages, size=8192))
    with open_source(str(path)) as source:
        return read_header(source)


@pytest.mark.parametrize(
    ("pages", "levels", "masks"),
    [
        ([page(MASK)], [32], [32]),
        ([page(OVERVIEW, 16), page(MASK), page(MASK_OVERVIEW, 16)], [32, 16], [32, 16]),
        ([page(MASK), page(OVERVIEW, 16), page(MASK_OVERVIEW, 16)], [32, 16], [32, 16]),
        # the first is it
        ([page(MASK), page(MASK)], [32], [32]),
        # overviews of no mask
        ([page(MASK_OVERVIEW, 16)], [32], []),
        # not of bytes or bits, not of this image
        ([page(MASK, t258=(SHORT, [16]), t325=(LONG, [512] * 4))], [32], []),
        (
            [page(MASK, t277=(SHORT, [3]), t258=(SHORT, [8] * 3), t339=(SHORT, [1] * 3), t325=(LONG, [768] * 4))],
            [32],
            [],
        ),
        ([page(MASK, 48)], [32], []),
        ([page(0)], [32], []),
    ],
)
def test_masks_are_found(tmp_path: Path, pages: list[Tags], levels: list[int], masks: list[int]) -> None:
    header = read(tmp_path, *pages)
    assert [level.width for level in header.profile.levels] == levels
    assert [level.width for level in header.profile.masks] == masks
    assert len(header.tiles) == len(levels) + len(masks)


def test_bits_need_not_be_said(tmp_path: Path) -> None:
    header = read(tmp_path, page(MASK, t258=None, t339=None, t325=(LONG, [32] * 4)))
    assert [level.stored for level in header.profile.masks] == ["uint1"]


def test_a_mask_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"^the mask of the file: the codec") as caught:
        read(tmp_path, page(MASK, t259=(SHORT, [34661])))
    assert caught.value.code is ErrorCode.UNSUPPORTED_CODEC


def test_an_overview_of_a_mask_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    header = read(tmp_path, page(MASK), page(MASK_OVERVIEW, 16, t259=(SHORT, [34661])))
    assert len(header.profile.masks) == 1


def test_a_mask_outside_the_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        read(tmp_path, page(MASK, t324=(LONG, [1000, 1000, 1000, 99_999])))
    assert caught.value.code is ErrorCode.SOURCE_CORRUPT
