"""The command ``rasterflight-server``."""

import argparse
import logging
import re
import sys
import textwrap
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError, ServiceError

# Each command imports what it needs when it runs: a server that serves starts without the libraries that build indexes.
if TYPE_CHECKING:
    from rasterflight_server.ingest import BuildReport

DEFAULT_JOBS = 16
DEFAULT_LISTEN = "grpc://127.0.0.1:8815"
DEFAULT_GRACE = 30.0
DEFAULT_CACHE = "1GiB"
DEFAULT_DISK_CACHE_SIZE = "20GiB"
_INTERRUPTED = 130
_WIDTH = 80
_SHOWN_NOTICES = 20


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
        print("interrupted", file=sys.stderr)
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="rasterflight-server", description="An Arrow Flight server for collections of GeoTIFFs.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {_version()}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_index(subparsers)
    _add_export(subparsers)
    _add_presets(subparsers)
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
        description="Build the index of a collection from STAC of any kind, from tables, or from GeoTIFFs by their names.",
    )
    parser.add_argument(
        "sources",
        nargs="*",
        metavar="SOURCE",
        help="path or URL of STAC (a catalog, an ItemCollection, items one on each line, an API with --search), of a table"
        " (stac-geoparquet, a collection of rasteret, any Parquet or Arrow file with --map, a folder of them), or GeoTIFFs: a"
        " folder, a path with wildcards in quotes, or a prefix of an object store that ends in /; none: the archive of --preset",
    )
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="directory of the index; an index in it is replaced"
    )
    parser.add_argument("--name", required=True, help="name of the collection")
    parser.add_argument(
        "--pattern",
        help="for GeoTIFFs, what file names look like: {id}, {datetime}, {band}, any other {field}, and * for anything;"
        " for example '{id}_{band}.tif'",
    )
    parser.add_argument(
        "--map",
        action="append",
        metavar="NAME=COLUMN,...",
        help="for tables, which columns hold id, datetime, geometry and the hrefs of each band; all others become properties;"
        " for example id=scene,datetime=acquired,B04=red_url",
    )
    parser.add_argument(
        "--query",
        metavar="SQL",
        help="a DuckDB query that gives a table, for example \"SELECT * FROM 'scenes/*.parquet' WHERE clouds < 20\"",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="TOML with titles, bands, storage and limits, kept as collection.toml of the index",
    )
    parser.add_argument(
        "--preset", metavar="NAME", help="a well-known archive: its configuration, and its STAC API to --search"
    )
    parser.add_argument(
        "--search",
        nargs="+",
        action="extend",
        metavar="NAME=VALUE",
        help="for a STAC API, what to search for: collections, ids, bbox, intersects, datetime, query, filter, sortby, max_items,"
        " limit; @FILE for a value in a file; for example collections=sentinel-2-l2a bbox=7,46,8,47 datetime=2024-06/2024-08"
        " 'filter=\"eo:cloud_cover\" < 20'",
    )
    parser.add_argument(
        "--assets", type=_comma_list, default=(), metavar="KEY,...", help="for STAC, assets to take (all that are data)"
    )
    parser.add_argument(
        "--prefer", metavar="SCHEME", help="for STAC, the scheme to take where an asset has alternates: s3, https"
    )
    parser.add_argument(
        "--jobs", type=int, default=DEFAULT_JOBS, metavar="N", help="files read at a time (%(default)s)"
    )
    parser.add_argument("--quiet", action="store_true", help="say nothing but errors")
    parser.set_defaults(run=_index)


def _index(options: argparse.Namespace) -> int:
    from rasterflight_server.ingest import build_index
    from rasterflight_server.ingest.columnmap import parse_map
    from rasterflight_server.ingest.stacquery import read_words

    report = build_index(
        options.sources,
        options.out,
        options.name,
        pattern=options.pattern,
        map=None if options.map is None else parse_map(options.map),
        query=options.query,
        config=options.config,
        preset=options.preset,
        assets=options.assets,
        prefer=options.prefer,
        search=None if options.search is None else read_words(options.search),
        jobs=options.jobs,
        progress=not options.quiet,
    )
    if not options.quiet:
        _print_report(report)
    return 0


def _print_report(report: "BuildReport") -> None:
    print(f"{report.name}: {report.records} records, {report.assets} files, bands {', '.join(report.bands)}")
    for failure in report.failures:
        print(f"failed: {failure}")
    for notice in report.notices[:_SHOWN_NOTICES]:
        print(f"warning: {notice}")
    if len(report.notices) > _SHOWN_NOTICES:
        print(f"warning: {len(report.notices) - _SHOWN_NOTICES} more; records of one archive often share them")


def _comma_list(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (part.strip() for part in text.split(","))))


def _add_export(subparsers: Any) -> None:
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


def _add_presets(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "presets",
        help="list configurations of well-known archives",
        description="List configurations of well-known archives, or print one.",
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="print this one whole")
    parser.set_defaults(run=_presets)


def _presets(options: argparse.Namespace) -> int:
    from rasterflight_server.ingest.presets import preset_names, preset_text, read_preset

    if options.name is not None:
        print(preset_text(options.name).decode(), end="")
        return 0
    names = preset_names()
    margin = max(map(len, names)) + 2
    for name in names:
        preset = read_preset(name).preset
        about = textwrap.wrap(preset.about if preset else "", _WIDTH - margin, break_on_hyphens=False)
        print(name.ljust(margin) + f"\n{'':{margin}}".join(about))
    return 0


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
        type=_named_index,
        metavar="NAME=DIR",
        help="an index, by its directory or URL, and the name to serve it by; may be given several times",
    )
    parser.add_argument(
        "--index-cache",
        type=Path,
        metavar="DIR",
        help="where indexes behind URLs are kept (default: rasterflight/indexes in the cache folder of the user)",
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
    parser.add_argument(
        "--cache-size",
        type=_size,
        default=DEFAULT_CACHE,
        metavar="SIZE",
        help="memory for decoded tiles, which are kept for reads to come; 0: none (%(default)s)",
    )
    parser.add_argument(
        "--workers",
        type=_positive,
        default=1,
        metavar="N",
        help="processes that share the port; each connection stays with one of them (%(default)s)",
    )
    # Said by a server of several processes to each of them.
    parser.add_argument("--one-of", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--shared-folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument(
        "--disk-cache", type=Path, metavar="DIR", help="keep what is read from remote files in this folder (off)"
    )
    parser.add_argument(
        "--disk-cache-size",
        type=_size,
        default=DEFAULT_DISK_CACHE_SIZE,
        metavar="SIZE",
        help="what the disk cache may hold, such as 500MB or 2TiB (%(default)s)",
    )
    parser.add_argument("--lifeline", action="store_true", help="also end when standard input is closed")
    parser.set_defaults(run=_serve)


def _positive(text: str) -> int:
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def _size(text: str) -> int:
    """Bytes, from a number with or without a unit."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(?:([KMGT])(i?))?B?", text.strip(), re.IGNORECASE)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 20GiB or 500MB")
    number, prefix, binary = found.groups()
    return int(float(number) * (1024 if binary else 1000) ** (" KMGT".index(prefix.upper()) if prefix else 0))


def _named_index(text: str) -> tuple[str, str]:
    name, separator, index = text.partition("=")
    if not (name and separator and index):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=DIR")
    return name, index


def _serve(options: argparse.Namespace) -> int:
    from rasterflight_server.flight.crew import Crew
    from rasterflight_server.flight.options import ServeOptions
    from rasterflight_server.flight.processes import serve_processes
    from rasterflight_server.flight.serve import serve

    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    names = [name for name, _ in options.collection]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RequestError(
            ErrorCode.BAD_REQUEST, f"two collections are named {twice[0]!r}", hint="give each a name of its own"
        )
    collections = dict(options.collection)
    serving = ServeOptions(
        grace=options.grace,
        lifeline=options.lifeline,
        cache_bytes=options.cache_size,
        disk_cache=options.disk_cache,
        disk_cache_bytes=options.disk_cache_size,
        index_cache=options.index_cache,
        crew=Crew() if options.one_of is None else Crew(options.one_of, options.shared_folder),
    )
    if options.workers > 1:
        return serve_processes(collections, options.listen, serving, workers=options.workers)
    serve(collections, options.listen, serving)
    return 0


def _version() -> str:
    try:
        return version("rasterflight")
    except PackageNotFoundError:  # run from a source tree
        return "(source tree)"
