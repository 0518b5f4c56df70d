"""Pixels from one grid to another, in NumPy and the same as GDAL's; PROJ comes in as functions."""

from rasterflight_server.warp.methods import Resampling
from rasterflight_server.warp.target import aligned_target, bounds_of, default_target
from rasterflight_server.warp.transformer import Projection
from rasterflight_server.warp.warp import Block, Warp, plan_warp, reproject

__all__ = [
    "Block",
    "Projection",
    "Resampling",
    "Warp",
    "aligned_target",
    "bounds_of",
    "default_target",
    "plan_warp",
    "reproject",
]
