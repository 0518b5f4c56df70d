"""``rasterflight-server serve``: collections over Arrow Flight."""

import argparse
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

from rasterflight_server.commands.flags import add_flags, load_settings
from rasterflight_server.errors import ConfigError


def add_serve(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "serve",
        help="serve collections over Arrow Flight",
        description="Serve collections over Arrow Flight until SIGTERM or Ctrl-C.",
        epilog="All settings, and where else they may stand: rasterflight-server config --example",
    )
    add_flags(parser)
    # Said by a server of several processes to each of them.
    parser.add_argument("--one-of", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--shared-folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--lifeline", action="store_true", help="also end when standard input is closed")
    parser.set_defaults(run=_serve)


def _serve(options: argparse.Namespace) -> int:
    from rasterflight_server.flight.signals import take_signals

    if os.getpid() == 1:
        # The first process of a container gets no signal that it has not asked for; this one holds until it serves.
        take_signals({signal.SIGTERM: lambda number: os._exit(128 + number)})

    from rasterflight_server.flight.crew import Crew
    from rasterflight_server.flight.processes import serve_processes
    from rasterflight_server.flight.runtime import Runtime
    from rasterflight_server.flight.serve import serve

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    settings = load_settings(options).settings
    if not settings.collections:
        raise ConfigError(
            "there is no collection to serve",
            field="collections",
            hint="name one by --collection NAME=DIR, or in the table [collections] of the file",
        )
    if options.one_of is None and settings.server.workers > 1:
        return serve_processes(settings, lifeline=options.lifeline)
    crew = Crew() if options.one_of is None else Crew(options.one_of, options.shared_folder)
    serve(settings, Runtime(lifeline=options.lifeline, crew=crew))
    return 0
