"""What a planned read will cost."""

import numpy as np
import numpy.typing as npt

from rasterflight_protocol.v1.plan_pb2 import Plan
from rasterflight_server.plan.cutouts import GridCut
from rasterflight_server.plan.planner import ReadPlan
from rasterflight_server.read.tiling import coverage
from rasterflight_server.types import Asset


def estimate(plan: ReadPlan) -> Plan:
    """Count records, chips, rows, tiles and bytes of a plan."""
    tiles = stored = 0
    for record in plan.records:
        for cut in record.cuts:
            for asset, samples in samples_by_asset(cut):
                lengths = _lengths(asset, samples, cut.windows)
                tiles += len(lengths)
                stored += int(lengths.sum())
    return Plan(
        snapshot=plan.collection.snapshot,
        records=len(plan.records),
        chips=plan.chips,
        rows=plan.rows,
        tiles=tiles,
        bytes_to_fetch=stored,
        bytes_to_receive=plan.nbytes,
        crs=plan.crs,
    )


def samples_by_asset(cut: GridCut) -> list[tuple[Asset, list[int]]]:
    """The files of a cut, and the samples that are read of each."""
    found: dict[str, tuple[Asset, list[int]]] = {}
    for band in cut.bands:
        found.setdefault(band.asset.href, (band.asset, []))[1].append(band.sample)
    return list(found.values())


def _lengths(asset: Asset, samples: list[int], windows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Stored bytes of each tile under the windows; sparse tiles are left out."""
    level = asset.profile.levels[0]
    wanted = (coverage(level, windows) > 0).reshape(-1)
    counts = asset.tile_ranges(0).counts.reshape(level.planes, -1)
    planes = sorted(set(samples)) if level.planar_separate else [0]
    lengths = counts[planes][:, wanted].reshape(-1)
    found: npt.NDArray[np.int64] = lengths[lengths > 0].astype(np.int64)
    return found
