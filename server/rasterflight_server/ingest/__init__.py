"""Building an index from STAC or from folders of files."""

from rasterflight_server.ingest.build import BuildReport, build_index
from rasterflight_server.ingest.sources import Failure, Notice

__all__ = ["BuildReport", "Failure", "Notice", "build_index"]
