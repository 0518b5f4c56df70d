"""Flags that set settings, the same for each command that needs them."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rasterflight_server.errors import ConfigError, ServiceError
from rasterflight_server.settings.keys import COLLECTIONS, Key, all_keys

if TYPE_CHECKING:  # it needs the packages of a server
    from rasterflight_server.settings.load import Loaded

#: The keys that have flags of their own, as they are shown in the help.
_FLAGS: Final = {
    "--listen": ("server.listen", "LOCATION"),
    "--workers": ("server.workers", "N"),
    "--grace": ("server.grace", "SECONDS"),
    "--cache-size": ("cache.memory", "SIZE"),
    "--disk-cache": ("cache.disk", "DIR"),
    "--disk-cache-size": ("cache.disk_size", "SIZE"),
    "--index-cache": ("cache.indexes", "DIR"),
    "--tls-certificate": ("tls.certificate", "FILE"),
    "--tls-key": ("tls.key", "FILE"),
    "--tls-client-ca": ("tls.client_ca", "FILE"),
    "--tokens": ("access.tokens", "FILE"),
}


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags; ``load_settings`` reads them."""
    parser.set_defaults(given=())
    parser.add_argument("--settings", type=Path, metavar="FILE", help="a TOML file; see rasterflight-server config")
    parser.add_argument(
        "--collection",
        action=_Give,
        metavar="NAME=DIR",
        help="an index, by its directory or URL, and the name to serve it by; may be given several times",
    )
    for flag, (name, metavar) in _FLAGS.items():
        key = all_keys()[name]
        parser.add_argument(flag, action=_Give, metavar=metavar, help=_help(key))
    parser.add_argument(
        "--set", action=_Give, metavar="KEY=VALUE", help="any other setting, such as limits.caller.streams=4"
    )
    # Said by those who start a server of their own: the file and flags alone count.
    parser.add_argument("--isolated", action="store_true", help=argparse.SUPPRESS)


def load_settings(options: argparse.Namespace) -> "Loaded":
    """The settings in effect.

    Raises
    ------
    ConfigError
        A setting that names itself cannot be.
    """
    from rasterflight_server.flight.listen import Listen
    from rasterflight_server.settings.load import load
    from rasterflight_server.settings.sources import from_flag

    flags = [from_flag(*_split(flag, text)) for flag, text in options.given]
    _refuse_twice([one.key.name for one in flags])
    loaded = load(options.settings, None if options.isolated else os.environ, flags)
    try:
        Listen.parse(loaded.settings.server.listen)
    except ServiceError as error:
        loaded.refuse("server.listen", error.message, error.hint)
    return loaded


class _Give(argparse.Action):
    """Keeps flags in the order in which they come."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002 - signature of actions
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        # The whole flag, where it was abbreviated.
        namespace.given = (*namespace.given, (self.option_strings[0], values))


def _split(flag: str, text: str) -> tuple[str, str, str]:
    """A flag as it was written, the key that it sets, and its value."""
    if flag in _FLAGS:
        return flag, _FLAGS[flag][0], text
    form = "NAME=DIR" if flag == "--collection" else "KEY=VALUE"
    name, separator, value = text.partition("=")
    if not (name and separator):
        raise ConfigError(f"{flag}: {text!r} is not {form}", field=flag)
    return f"{flag} {name}", f"{COLLECTIONS}.{name}" if flag == "--collection" else name, value


def _refuse_twice(names: Sequence[str]) -> None:
    for name in names:
        table, _, rest = name.partition(".")
        if table == COLLECTIONS and names.count(name) > 1:
            raise ConfigError(f"two collections are named {rest!r}", field=name, hint="give each a name of its own")


def _help(key: Key) -> str:
    about = key.about.rstrip(".").replace("%", "%%")
    return f"{about} [{key.name}; {'unset' if key.default is None else key.kind.write(key.default)}]"
