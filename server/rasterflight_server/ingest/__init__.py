"""Building an index from STAC items or from a folder of files."""

from rasterflight_server.ingest.build import BuildReport, build_index
from rasterflight_server.ingest.sources import Failure

__all__ = ["BuildReport", "Failure", "build_index"]
