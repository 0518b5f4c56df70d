"""``rasterflight-server index`` and ``update``: the index of a collection, built and kept up to date."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rasterflight_server.ingest import BuildReport

_INTERRUPTED: Final = "interrupted: what was read is kept, the same command goes on from there"
_SHOWN_NOTICES: Final = 20


def add_index(subparsers: Any) -> None:
    """Add the command that builds."""
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
        "--config",
        metavar="FILE",
        help="TOML with titles, bands, storage and limits, kept as collection.toml of the index",
    )
    parser.add_argument(
        "--preset", metavar="NAME", help="a well-known archive: its configuration, and its STAC API to --search"
    )
    _add_source_options(parser)
    _add_build_options(parser)
    parser.set_defaults(run=_index, interrupted=_INTERRUPTED)


def add_update(subparsers: Any) -> None:
    """Add the command that brings up to date."""
    parser = subparsers.add_parser(
        "update",
        help="bring the index of a collection up to date",
        description="Run the sources of an index again, as they were read at first: read files that are new or changed, and drop"
        " records that are gone. A running server takes the new index by itself.",
    )
    parser.add_argument("directory", metavar="DIR", help="directory of the index")
    parser.add_argument(
        "sources",
        nargs="*",
        metavar="SOURCE",
        help="run these only: sources of the index, or new ones, whose records join those that are there",
    )
    parser.add_argument(
        "--no-verify",
        action="store_true",
        help="do not look whether files of records that did not change are still the same",
    )
    _add_source_options(parser)
    _add_build_options(parser)
    parser.set_defaults(run=_update, interrupted=_INTERRUPTED)


def _add_source_options(parser: argparse.ArgumentParser) -> None:
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


def _add_build_options(parser: argparse.ArgumentParser) -> None:
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

    about = {"config": options.config, "preset": options.preset}
    report = build_index(options.sources, options.out, options.name, **about, **_keywords(options))
    if not options.quiet:
        _print_report(report)
    return 0


def _update(options: argparse.Namespace) -> int:
    from rasterflight_server.ingest import update_index

    report = update_index(options.directory, options.sources, verify=not options.no_verify, **_keywords(options))
    if not options.quiet:
        _print_report(report)
        print(
            f"{report.added} added, {report.dropped} dropped, {report.changed} changed, {report.unchanged} unchanged,"
            f" {report.failed} failed"
        )
    return 0


def _keywords(options: argparse.Namespace) -> dict[str, Any]:
    """What building and updating have in common."""
    from rasterflight_server.ingest.columnmap import parse_map
    from rasterflight_server.ingest.stacquery import read_words

    names = ("pattern", "query", "assets", "prefer", "jobs", "dask", "fail_over", "report")
    return {
        **{name: getattr(options, name) for name in names},
        "map": None if options.map is None else parse_map(options.map),
        "search": None if options.search is None else read_words(options.search),
        "progress": not options.quiet,
    }


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
