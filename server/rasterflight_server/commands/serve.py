"""``rasterflight-server serve``: collections over Arrow Flight."""

import argparse
import logging
import re
import sys
from pathlib import Path
from typing import Any, Final

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError

DEFAULT_LISTEN: Final = "grpc://127.0.0.1:8815"
DEFAULT_GRACE: Final = 30.0
DEFAULT_CACHE: Final = "1GiB"
DEFAULT_DISK_CACHE_SIZE: Final = "20GiB"


def add_serve(subparsers: Any) -> None:
    """Add the command."""
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

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
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
