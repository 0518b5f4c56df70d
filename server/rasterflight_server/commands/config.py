"""``rasterflight-server config``: the settings of a server, shown and checked."""

import argparse
from typing import Any

from rasterflight_server.commands.flags import add_flags, load_settings


def add_config(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "config",
        help="show and check the settings of a server",
        description="Show and check the settings that serve would have with the same file, variables and flags.",
        epilog="Later ones win: the file of --settings or RASTERFLIGHT_SETTINGS, variables such as"
        " RASTERFLIGHT_LIMITS_CALLER_STREAMS, flags.",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--show", action="store_true", help="print them as TOML, with where each comes from; no secrets")
    what.add_argument("--example", action="store_true", help="print a file to begin with: all settings, as comments")
    what.add_argument("--check", action="store_true", help="only say whether they can be used")
    add_flags(parser)
    parser.set_defaults(run=_config)


def _config(options: argparse.Namespace) -> int:
    from rasterflight_server.settings.write import example, show

    if options.example:
        print(example(), end="")
        return 0
    loaded = load_settings(options)
    print(show(loaded) if options.show else "the settings can be used\n", end="")
    return 0
