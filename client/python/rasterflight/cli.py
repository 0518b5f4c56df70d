"""The command line: look at collections, and read them into files."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from rasterflight._client import Client, connect, local
from rasterflight._description import span
from rasterflight._grids import Resampling
from rasterflight._output import WRITERS, check_output
from rasterflight._pointfiles import check_samples_output, read_points, write_samples
from rasterflight._requests import Compression
from rasterflight._vectors import read_areas
from rasterflight.errors import RasterflightError

_FAILED = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; errors go to stderr in one line.

    Returns
    -------
    int
        0, or 1 after an error. Wrong usage ends with status 2.
    """
    options = _parser().parse_args(arguments)
    try:
        with _client(options) as client:
            options.run(client, options)
    except (RasterflightError, ImportError, OSError, TypeError, ValueError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return _FAILED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rasterflight",
        description="Read collections of rasters from a rasterflight server.",
        epilog="RASTERFLIGHT_URL is the default of --url. A token is taken from RASTERFLIGHT_TOKEN only; RASTERFLIGHT_ROOT_CERTS, "
        "RASTERFLIGHT_CLIENT_CERTIFICATE and RASTERFLIGHT_CLIENT_KEY are the defaults of the files of certificates.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, run, what in (
        ("ls", _ls, "list the collections"),
        ("info", _info, "describe a collection"),
        ("plan", _plan, "say what a read would do, without reading pixels"),
        ("read", _read, "read pixels into a file"),
        ("sample", _sample, "read the pixels at points into a file"),
    ):
        command = commands.add_parser(name, help=what, description=what.capitalize() + ".")
        command.set_defaults(run=run)
        command.add_argument("--url", help="where the server is")
        _add_certificate_options(command)
        command.add_argument("--compression", choices=get_args(Compression), help="how rows travel, for slow links")
        command.add_argument(
            "--local",
            action="append",
            metavar="NAME=DIR",
            type=_name_and_directory,
            help="start a private server for this index instead (repeatable)",
        )
        if run is not _ls:
            command.add_argument("name", metavar="NAME", help="collection")
        if run in (_plan, _read):
            _add_read_options(command)
        if run is _sample:
            _add_sample_options(command)
        if run in (_read, _sample):
            command.add_argument("--on-error", choices=("raise", "skip"), default="raise", help="when a record fails")
            kinds = ", ".join(WRITERS) if run is _read else ".csv, .parquet"
            command.add_argument("-o", "--output", required=True, metavar="OUT", help=f"file: {kinds}")
    return parser


def _add_certificate_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--tls-root-certs", metavar="PEM", help="roots that the server's certificate may come from")
    command.add_argument("--client-certificate", metavar="PEM", help="certificate to show to the server")
    command.add_argument("--client-key", metavar="PEM", help="its private key")
    command.add_argument("--no-tls-verify", action="store_true", help="take whoever answers for the server")


def _add_read_options(command: argparse.ArgumentParser) -> None:
    _add_common_options(command)
    area = command.add_mutually_exclusive_group()
    area.add_argument("--bbox", metavar="MINX,MINY,MAXX,MAXY", type=_bbox, help="area to cut out")
    area.add_argument("--geometries", metavar="FILE", help="areas to cut out: .geojson, .gpkg or .parquet")
    command.add_argument("--geometry-crs", default="auto", metavar="CRS", help="CRS of --bbox or --geometries")
    command.add_argument("--all-touched", action="store_true", help="every pixel that an area touches")
    command.add_argument("--target-crs", metavar="CRS", help="put the pixels on a grid in this CRS")
    command.add_argument("--resolution", metavar="SIZE", type=float, help="size of pixels, in units of their CRS")
    command.add_argument("--resampling", choices=get_args(Resampling), help="how pixels of another grid are made")


def _add_sample_options(command: argparse.ArgumentParser) -> None:
    _add_common_options(command)
    files = ".csv, .parquet, .geojson or .gpkg"
    command.add_argument("--points", required=True, metavar="FILE", help=f"points: {files}")
    command.add_argument("--x-column", metavar="NAME", help="column of x or longitude, for .csv and .parquet")
    command.add_argument("--y-column", metavar="NAME", help="column of y or latitude")
    command.add_argument("--geometry-crs", default="auto", metavar="CRS", help="CRS of --points")
    command.add_argument("--match", choices=("all", "latest"), default="all", help="all records, or the newest valid")
    command.add_argument(
        "--max-distance-pixels", type=int, default=0, metavar="N", help="how far to look for a valid one"
    )
    command.add_argument("--neighbourhood", choices=("off", "always", "if_center_nodata"), default="off")
    command.add_argument("--masked", action="store_true", help="null where invalid")


def _add_common_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--bands", required=True, metavar="B1,B2", type=_comma_separated)
    command.add_argument("--date-range", metavar="START/END", type=_date_range, help="ISO 8601; '..' is no bound")
    command.add_argument("--cloud-cover-lt", metavar="PERCENT", type=float)
    command.add_argument("--ids", metavar="ID1,ID2", type=_comma_separated)
    command.add_argument("--where", metavar="CQL2", help='condition on the records: "eo:cloud_cover" < 20')
    command.add_argument("--scaled", action="store_true", help="pixel * scale + offset, NaN where invalid")


def _client(options: argparse.Namespace) -> Client:
    if options.local:
        return local(dict(options.local))
    return connect(
        options.url,
        tls_root_certs=options.tls_root_certs,
        client_certificate=options.client_certificate,
        client_key=options.client_key,
        tls_verify=not options.no_tls_verify,
        compression=options.compression,
    )


def _ls(client: Client, _: argparse.Namespace) -> None:
    rows = [
        (row["name"], str(row["records"]), span(row["start"], row["end"]), ",".join(row["bands"]))
        for row in client.collections().to_pylist()
    ]
    head = ("NAME", "RECORDS", "TIME", "BANDS")
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _info(client: Client, options: argparse.Namespace) -> None:
    print(client.collection(options.name).describe(sys.stdout.encoding))


def _plan(client: Client, options: argparse.Namespace) -> None:
    print(client.collection(options.name).plan(**_keywords(options)))


def _read(client: Client, options: argparse.Namespace) -> None:
    output = Path(options.output)
    write = check_output(output)
    keywords = _keywords(options)
    collection = client.collection(options.name)
    write(collection, output, progress=sys.stderr.isatty(), on_error=options.on_error, **keywords)


def _sample(client: Client, options: argparse.Namespace) -> None:
    output = Path(options.output)
    check_samples_output(output)
    write_samples(
        client.collection(options.name),
        output,
        points=read_points(Path(options.points), by_columns=options.x_column is not None),
        x_column=options.x_column,
        y_column=options.y_column,
        match=options.match,
        max_distance_pixels=options.max_distance_pixels,
        return_neighbourhood=options.neighbourhood,
        masked=options.masked,
        on_error=options.on_error,
        progress=sys.stderr.isatty(),
        **_common_keywords(options),
    )


def _keywords(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "geometries": options.bbox if options.geometries is None else read_areas(Path(options.geometries)),
        "all_touched": options.all_touched,
        "target_crs": options.target_crs,
        "resolution": options.resolution,
        "resampling": options.resampling,
        **_common_keywords(options),
    }


def _common_keywords(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "bands": options.bands,
        "geometry_crs": options.geometry_crs,
        "values": "scaled" if options.scaled else "raw",
        "date_range": options.date_range,
        "cloud_cover_lt": options.cloud_cover_lt,
        "ids": options.ids,
        "where": options.where,
    }


def _comma_separated(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise argparse.ArgumentTypeError("expected one name or several, separated by commas")
    return names


def _bbox(text: str) -> tuple[float, ...]:
    try:
        minx, miny, maxx, maxy = map(float, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not minx,miny,maxx,maxy") from None
    return minx, miny, maxx, maxy


def _date_range(text: str) -> tuple[str | None, str | None]:
    start, slash, end = text.partition("/")
    if not slash:
        raise argparse.ArgumentTypeError(f"{text!r} is not START/END")
    return (None if start in ("", "..") else start), (None if end in ("", "..") else end)


def _name_and_directory(text: str) -> tuple[str, str]:
    name, _, directory = text.partition("=")
    if not name or not directory:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=DIR")
    return name, directory
