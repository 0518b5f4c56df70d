"""``rasterflight-server check``: what files are, and whether they can be read."""

import argparse
from typing import Any


def add_check(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "check",
        help="say what files are, and whether they can be read",
        description="Say of each file what it is, whether it can be read, and if not why. Ends with 1 when one cannot.",
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="file or folder; files also by URL")
    parser.add_argument(
        "--full", action="store_true", help="decode all tiles, not just the first and last of each level"
    )
    parser.set_defaults(run=_check)


def _check(options: argparse.Namespace) -> int:
    from rasterflight_server.ingest.check import check_files

    failed = False
    for finding in check_files(options.paths, full=options.full):
        print(finding)
        failed = failed or finding.error is not None
    return int(failed)
