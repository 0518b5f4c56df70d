"""Building an index from STAC, tables or files, and giving it back in other forms."""

from rasterflight_server.ingest.build import BuildReport, build_index
from rasterflight_server.ingest.export import ExportReport, export_index
from rasterflight_server.ingest.sources import Failure, Notice

__all__ = ["BuildReport", "ExportReport", "Failure", "Notice", "build_index", "export_index"]
