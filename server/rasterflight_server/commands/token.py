"""``rasterflight-server token``: who may come in, by tokens."""

import argparse
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

_UNITS: Final = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def add_token(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "token",
        help="make, list and revoke tokens that open the server",
        description="Make, list and revoke tokens. The file holds their hashes alone; a running server reads it again within a second.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    create = _add(commands, "create", "make a token, which is printed this once", _create)
    create.add_argument("name", metavar="NAME", type=_name, help="whose it is; stands in logs and figures")
    what = create.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--collection", action="append", metavar="NAME", help="a collection that it opens; may be given several times"
    )
    what.add_argument("--all", action="store_true", help="it opens every collection, also those to come")
    create.add_argument("--admin", action="store_true", help="it also runs actions of the operator")
    create.add_argument(
        "--expires", type=_end, metavar="WHEN", help="12h, 30d, 8w or a time such as 2027-01-31 (default: never)"
    )
    _add(commands, "list", "list the tokens", _list)
    revoke = _add(commands, "revoke", "make a token worthless", _revoke)
    revoke.add_argument("name", metavar="NAME", help="its name or id")


def _add(commands: Any, name: str, about: str, run: Any) -> Any:
    command = commands.add_parser(name, help=about, description=about.capitalize() + ".")
    command.add_argument(
        "--tokens", type=Path, required=True, metavar="FILE", help="where tokens are kept (access.tokens)"
    )
    command.set_defaults(run=run)
    return command


def _create(options: argparse.Namespace) -> int:
    from rasterflight_server.flight.identity.tokens import create_token

    token = create_token(
        options.tokens,
        options.name,
        collections=None if options.all else sorted(set(options.collection)),
        admin=options.admin,
        expires=options.expires,
    )
    print(token)
    print("keep it well: it is not shown again", file=sys.stderr)
    return 0


def _list(options: argparse.Namespace) -> int:
    from rasterflight_server.flight.identity.tokens import read_tokens

    now = datetime.now(UTC)
    rows = [("NAME", "ID", "OPENS", "ADMIN", "CREATED", "EXPIRES")]
    for token in read_tokens(options.tokens):
        expires = "never" if token.expires is None else _day(token.expires)
        rows.append(
            (
                token.name,
                token.id,
                "*" if token.collections is None else ",".join(sorted(token.collections)),
                "yes" if token.admin else "no",
                _day(token.created),
                f"{expires} (over)" if token.expired(now) else expires,
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _revoke(options: argparse.Namespace) -> int:
    from rasterflight_server.flight.identity.tokens import revoke_token

    token = revoke_token(options.tokens, options.name)
    print(f"revoked {token.name} ({token.id})")
    return 0


def _day(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M}"


def _name(text: str) -> str:
    if not (text.strip() == text != "" and text.isprintable()):
        raise argparse.ArgumentTypeError(f"{text!r} is no name")
    return text


def _end(text: str) -> datetime:
    now = datetime.now(UTC).replace(microsecond=0)
    try:
        if found := re.fullmatch(r"(\d+)([hdw])", text):
            end = now + int(found[1]) * _UNITS[found[2]]
        else:
            end = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a time such as 2027-01-31 nor a span such as 30d"
        ) from None
    end = end if end.tzinfo else end.replace(tzinfo=UTC)
    if end <= now:
        raise argparse.ArgumentTypeError(f"{text!r} is over already")
    return end
