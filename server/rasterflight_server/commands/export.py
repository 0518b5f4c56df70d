"""``rasterflight-server export``: an index in a form that others read."""

import argparse
from typing import Any


def add_export(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "export",
        help="write an index in a form that others read",
        description="Write the records of an index as stac-geoparquet, or as a collection of rasteret; no file is opened.",
    )
    parser.add_argument("index", metavar="DIR", help="directory of the index")
    parser.add_argument("--to", required=True, metavar="FORM", help="stac-geoparquet (a file) or rasteret (a folder)")
    parser.add_argument("--out", required=True, metavar="PATH", help="what to write; nothing may be there yet")
    parser.set_defaults(run=_export)


def _export(options: argparse.Namespace) -> int:
    from rasterflight_server.ingest import export_index

    report = export_index(options.index, options.to, options.out)
    print(f"{report.path}: {report.records} records")
    for failure in report.failures:
        print(f"failed: {failure}")
    return 0
