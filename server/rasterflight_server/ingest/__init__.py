"""Building an index from STAC items or from a folder of files, and keeping it up to date."""

from rasterflight_server.ingest.build import BuildOptions, BuildReport, build_index, index_records, update_index
from rasterflight_server.ingest.sources import Failure

__all__ = ["BuildOptions", "BuildReport", "Failure", "build_index", "index_records", "update_index"]
