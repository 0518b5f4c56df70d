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
            for asset, level, samples in samples_needed(cut):
                lengths = _lengths(asset, level, samples, cut.windows)
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


def samples_needed(cut: GridCut) -> list[tuple[Asset, int, list[int]]]:
    """The levels of the files of a cut, and the samples that are read of each: those of its bands, then further witnesses."""
    found: dict[tuple[str, int], tuple[Asset, int, list[int]]] = {}
    for band in cut.bands:
        found.setdefault((band.asset.href, 0), (band.asset, 0, []))[2].append(band.sample)
    for band in cut.bands:
        for witness in band.witnesses:
            key = band.asset.href, witness.level
            samples = found.setdefault(key, (band.asset, witness.level, []))[2]
            if witness.sample not in samples:
                samples.append(witness.sample)
    return list(found.values())


def _lengths(asset: Asset, number: int, samples: list[int], windows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Stored bytes of each tile under the windows; sparse tiles are left out."""
    level = asset.profile.level(number)
    wanted = (coverage(level, windows) > 0).reshape(-1)
    counts = asset.tile_ranges(number).counts.reshape(level.planes, -1)
    planes = sorted(set(samples)) if level.planar_separate else [0]
    lengths = counts[planes][:, wanted].reshape(-1)
    found: npt.NDArray[np.int64] = lengths[lengths > 0].astype(np.int64)
    return found
