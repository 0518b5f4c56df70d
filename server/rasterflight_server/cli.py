"""The command ``rasterflight-server``."""

import argparse
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from rasterflight_server.commands.check import add_check
from rasterflight_server.commands.config import add_config
from rasterflight_server.commands.export import add_export
from rasterflight_server.commands.index import add_index, add_update
from rasterflight_server.commands.presets import add_presets
from rasterflight_server.commands.serve import add_serve
from rasterflight_server.commands.token import add_token
from rasterflight_server.errors import ServiceError

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
        code = int(options.run(options))
        sys.stdout.flush()
    except ServiceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        if error.name and error.name.partition(".")[0].startswith("rasterflight"):
            raise
        print(f'error: the package {error.name!r} is missing (pip install "rasterflight[server]")', file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever reads the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print(options.interrupted, file=sys.stderr)
        return _INTERRUPTED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="rasterflight-server", description="An Arrow Flight server for collections of GeoTIFFs.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {_version()}")
    parser.set_defaults(interrupted="interrupted")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in (add_index, add_update, add_export, add_presets, add_check, add_serve, add_token, add_config):
        add(subparsers)
    return parser


class _Parser(argparse.ArgumentParser):
    """A parser whose errors look like all others of the command."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        options, unknown = super().parse_known_args(args, namespace)
        for flag in (word.partition("=")[0] for word in unknown if word.startswith("--")):
            if near := get_close_matches(flag, self._option_string_actions, n=1, cutoff=0.7):
                self.error(f"there is no flag {flag}: did you mean {near[0]}?")
        return options, unknown

    def error(self, message: str) -> Any:
        self.exit(1, f"error: {message} (see {self.prog} --help)\n")


def _version() -> str:
    try:
        return version("rasterflight")
    except PackageNotFoundError:  # run from a source tree
        return "(source tree)"
