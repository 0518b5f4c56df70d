"""``rasterflight-server presets``: configurations of well-known archives."""

import argparse
import textwrap
from typing import Any, Final

_WIDTH: Final = 80


def add_presets(subparsers: Any) -> None:
    """Add the command."""
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
