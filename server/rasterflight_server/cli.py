"""The command ``rasterflight-server``."""

import argparse
import logging
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError, ServiceError

# Each command imports what it needs when it runs: a server that serves starts without the libraries that build indexes.
if TYPE_CHECKING:
    from rasterflight_server.ingest import BuildReport

DEFAULT_LISTEN = "grpc://127.0.0.1:8815"
DEFAULT_GRACE = 30.0
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments
        Words of the command line; None: those of the process.

    Returns
    -------
    int
        Exit code: 0, or 1 when the command could not do its work.
    """
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except ServiceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        if error.name and error.name.partition(".")[0].startswith("rasterflight"):
            raise
        print(f'error: the package {error.name!r} is missing (pip install "rasterflight[server]")', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        kept = ": what was read is kept, the same command goes on from there"
        print(f"interrupted{kept if options.run in (_index, _update) else ''}", file=sys.stderr)
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="rasterflight-server", description="An Arrow Flight server for collections of GeoTIFFs.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {_version()}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_index(subparsers)
    _add_update(subparsers)
    _add_check(subparsers)
    _add_serve(subparsers)
    return parser


class _Parser(argparse.ArgumentParser):
    """A parser whose errors look like all others of the command."""

    def error(self, message: str) -> Any:
        self.exit(1, f"error: {message} (see {self.prog} --help)\n")


def _add_index(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "index",
        help="build the index of a collection",
        description="Build the index of a collection from STAC items, or from folders of GeoTIFFs.",
    )
    parser.add_argument(
        "source", nargs="+", metavar="SOURCE", help="path or URL of a STAC ItemCollection (JSON), or a folder"
    )
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="directory of the index; an index in it is replaced"
    )
    parser.add_argument("--name", required=True, help="name of the collection")
    _add_build_options(parser)
    parser.set_defaults(run=_index)


def _add_update(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "update",
        help="bring the index of a collection up to date",
        description="Run the sources of an index again, read files that are new or changed, and drop records that are gone."
        " A running server takes the new index by itself.",
    )
    parser.add_argument("directory", metavar="DIR", help="directory of the index")
    parser.add_argument(
        "source",
        nargs="*",
        metavar="SOURCE",
        help="run these only: sources of the index, or new ones, whose records join those that are there",
    )
    parser.add_argument(
        "--no-verify",
        action="store_true",
        help="do not look whether files of records that did not change are still the same",
    )
    _add_build_options(parser)
    parser.set_defaults(run=_update)


def _add_build_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--pattern",
        help="for folders, what file names look like: {id}, {datetime}, {band}, any other {field}, and * for anything;"
        " for example '{id}_{band}.tif'",
    )
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="files read at a time (default: 4 local ones, 32 remote ones)"
    )
    parser.add_argument("--dask", metavar="ADDRESS", help="let the workers of this Dask scheduler read the files")
    parser.add_argument(
        "--fail-over", metavar="LIMIT", help="fail if more files fail than this: a share such as 1%%, or a number"
    )
    parser.add_argument(
        "--report", type=Path, metavar="PATH", help="Parquet file for failures (default: failures.parquet in DIR)"
    )
    parser.add_argument("--quiet", action="store_true", help="say nothing but errors")


def _index(options: argparse.Namespace) -> int:
    from rasterflight_server.ingest import build_index

    report = build_index(options.source, options.out, options.name, **_build_options(options))
    if not options.quiet:
        _print_report(report)
    return 0


def _update(options: argparse.Namespace) -> int:
    from rasterflight_server.ingest import update_index

    verify = not options.no_verify
    report = update_index(options.directory, options.source, verify=verify, **_build_options(options))
    if not options.quiet:
        _print_report(report)
        print(
            f"{report.added} added, {report.dropped} dropped, {report.changed} changed, {report.unchanged} unchanged,"
            f" {report.failed} failed"
        )
    return 0


def _build_options(options: argparse.Namespace) -> dict[str, Any]:
    names = ("pattern", "jobs", "dask", "fail_over", "report")
    return {"progress": not options.quiet, **{name: getattr(options, name) for name in names}}


def _print_report(report: "BuildReport") -> None:
    print(f"{report.name}: {report.records} records, {report.assets} files, bands {', '.join(report.bands)}")
    for failure in report.failures:
        print(f"failed: {failure}")


def _add_check(subparsers: Any) -> None:
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


def _add_serve(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "serve",
        help="serve collections over Arrow Flight",
        description="Serve collections over Arrow Flight until SIGTERM or Ctrl-C.",
    )
    parser.add_argument(
        "--collection",
        action="append",
        required=True,
        type=_named_directory,
        metavar="NAME=DIR",
        help="an index and the name to serve it by; may be given several times",
    )
    parser.add_argument(
        "--listen",
        default=DEFAULT_LISTEN,
        metavar="LOCATION",
        help="grpc://HOST:PORT (port 0: any free one) or grpc+unix:///PATH (%(default)s)",
    )
    parser.add_argument(
        "--grace",
        type=float,
        default=DEFAULT_GRACE,
        metavar="SECONDS",
        help="how long running streams may take to finish after SIGTERM (%(default)g)",
    )
    parser.add_argument("--lifeline", action="store_true", help="also end when standard input is closed")
    parser.set_defaults(run=_serve)


def _named_directory(text: str) -> tuple[str, Path]:
    name, separator, directory = text.partition("=")
    if not (name and separator and directory):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=DIR")
    return name, Path(directory)


def _serve(options: argparse.Namespace) -> int:
    from rasterflight_server.flight.serve import serve

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    names = [name for name, _ in options.collection]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RequestError(
            ErrorCode.BAD_REQUEST, f"two collections are named {twice[0]!r}", hint="give each a name of its own"
        )
    serve(dict(options.collection), options.listen, grace=options.grace, lifeline=options.lifeline)
    return 0


def _version() -> str:
    try:
        return version("rasterflight")
    except PackageNotFoundError:  # run from a source tree
        return "(source tree)"
