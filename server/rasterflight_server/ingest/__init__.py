"""Building an index from STAC, tables or files, keeping it up to date, and giving it back in other forms."""

from rasterflight_server.ingest.build import build_index, index_records, update_index
from rasterflight_server.ingest.export import ExportReport, export_index
from rasterflight_server.ingest.sources import Failure, Notice
from rasterflight_server.ingest.work import BuildOptions, BuildReport

__all__ = [
    "BuildOptions",
    "BuildReport",
    "ExportReport",
    "Failure",
    "Notice",
    "build_index",
    "export_index",
    "index_records",
    "update_index",
]
