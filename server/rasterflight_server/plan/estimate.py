"""What a planned read will cost."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from rasterflight_protocol.v1.plan_pb2 import BandLevels, Plan
from rasterflight_protocol.v1.read_pb2 import LAYOUT_PIXELS
from rasterflight_server.plan.cutouts import BandSource, GridCut
from rasterflight_server.plan.masks import Masks
from rasterflight_server.plan.planner import ReadPlan
from rasterflight_server.plan.pointplan import PointPlan
from rasterflight_server.read.tiling import coverage
from rasterflight_server.types import Asset

#: Rows of pixels under areas whose masks are made to count the pixels inside: about a second.
_COUNTED_LINES: Final = 1 << 20


def estimate(plan: ReadPlan) -> Plan:
    """Count records, chips, rows, tiles and bytes of a plan."""
    tiles = stored = 0
    for record in plan.records:
        plan.request.allowance.go_on()
        for cut in record.cuts:
            for asset, level, samples, windows in sources_needed(cut, cut.windows):
                lengths = _lengths(asset, level, samples, windows)
                tiles += len(lengths)
                stored += int(lengths.sum())
    return Plan(
        snapshot=plan.collection.snapshot,
        records=len(plan.records),
        chips=plan.chips,
        rows=_pixel_rows(plan) if plan.request.layout == LAYOUT_PIXELS else plan.rows,
        tiles=tiles,
        bytes_to_fetch=stored,
        bytes_to_receive=plan.nbytes,
        crs=plan.crs,
        levels=_levels(plan),
    )


def _pixel_rows(plan: ReadPlan) -> int:
    """Rows of the pixels layout; -1: it would take long to count them."""
    cuts = [cut for record in plan.records for cut in record.cuts]
    failed = sum(record.error is not None for record in plan.records)
    if plan.request.areas is None:
        return failed + sum(cut.pixels for cut in cuts)
    if sum(int(cut.whole.windows[:, 3].sum()) for cut in cuts) > _COUNTED_LINES:
        return -1
    masks = Masks(plan.request.areas, all_touched=plan.request.all_touched)
    return failed + sum(masks.count(cut) for cut in cuts)


def estimate_outlines(plan: ReadPlan) -> Plan:
    """Count records, chips and rows of a plan of which only the outlines are read."""
    return Plan(
        snapshot=plan.collection.snapshot,
        records=len(plan.records),
        chips=plan.chips,
        rows=sum(1 if record.error else sum(len(cut.windows) for cut in record.cuts) for record in plan.records),
        crs=plan.crs,
        levels=_levels(plan),
    )


def estimate_points(plan: PointPlan) -> Plan:
    """Count records, rows, tiles and bytes of a read of points; of the newest values only, it is the most that it may take."""
    records = pairs = rows = tiles = stored = 0
    found: dict[str, None] = {}
    seen = np.zeros((len(plan.points), len(plan.request.bands)), np.bool_)
    for cut in plan.cuts():
        records += 1
        rows += cut.rows
        pairs += len(np.unique(np.concatenate([placed.points for placed, _ in cut.grids]))) if cut.grids else 0
        for placed, bands in cut.grids:
            found[placed.grid.crs or ""] = None
            for band in bands:
                seen[placed.points, band.column] = True
            for asset, level, samples in _samples_of(bands):
                groups = placed.pixels.by_tile(asset.profile.level(level))
                wanted = np.zeros(
                    (asset.profile.level(level).tiles_down, asset.profile.level(level).tiles_across), np.bool_
                )
                wanted[groups.tile_rows, groups.tile_cols] = True
                lengths = _stored(asset, level, samples, wanted)
                tiles += len(lengths)
                stored += int(lengths.sum())
    rows = int(seen.sum()) if plan.points.sampling.latest else rows
    return Plan(
        snapshot=plan.collection.snapshot,
        records=records,
        chips=pairs,
        rows=rows,
        tiles=tiles,
        bytes_to_fetch=stored,
        bytes_to_receive=8 * rows,
        crs=list(found),
    )


def sources_needed(
    cut: GridCut, windows: npt.NDArray[np.int64]
) -> Iterator[tuple[Asset, int, list[int], npt.NDArray[np.int64]]]:
    """What windows of a cut are made of.

    Returns
    -------
    iterator of tuple
        A level of a file, the samples that are read of it (those of its bands, then further witnesses), and the pixels that are read
        for each window, shape (n, 4).
    """
    for part in cut.parts:
        source = part.source_windows(windows)
        for asset, level, samples in _samples_of(part.bands):
            yield asset, level, samples, source


def _samples_of(bands: Sequence[BandSource]) -> list[tuple[Asset, int, list[int]]]:
    found: dict[tuple[str, int], tuple[Asset, int, list[int]]] = {}
    for band in bands:
        key = band.asset.href, band.number
        found.setdefault(key, (band.asset, band.number, []))[2].append(band.sample)
    for band in bands:
        for witness in band.witnesses:
            key = band.asset.href, witness.level
            samples = found.setdefault(key, (band.asset, witness.level, []))[2]
            if witness.sample not in samples:
                samples.append(witness.sample)
    return list(found.values())


def _lengths(asset: Asset, number: int, samples: list[int], windows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Stored bytes of each tile under the windows; sparse tiles are left out."""
    return _stored(asset, number, samples, coverage(asset.profile.level(number), windows) > 0)


def _stored(asset: Asset, number: int, samples: list[int], wanted: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Stored bytes of each tile that is wanted, shape (tile rows, tile columns); sparse tiles are left out."""
    level = asset.profile.level(number)
    counts = asset.tile_ranges(number).counts.reshape(level.planes, -1)
    planes = sorted(set(samples)) if level.planar_separate else [0]
    lengths = counts[planes][:, wanted.reshape(-1)].reshape(-1)
    found: npt.NDArray[np.int64] = lengths[lengths > 0].astype(np.int64)
    return found


def _levels(plan: ReadPlan) -> list[BandLevels]:
    return [BandLevels(band=band, levels=levels) for band, levels in plan.levels.items()]
