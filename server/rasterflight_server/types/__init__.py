"""Values that all layers of the server speak in."""

from rasterflight_server.types.grid import Grid, Window
from rasterflight_server.types.tiff import NO_NODATA, Asset, BandMeta, Identity, Level, Profile, TileRanges, YCbCr

__all__ = ["NO_NODATA", "Asset", "BandMeta", "Grid", "Identity", "Level", "Profile", "TileRanges", "Window", "YCbCr"]
