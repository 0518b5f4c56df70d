"""Tables of a TOML file, read key by key: what is wrong names itself, its place, and the nearest that is right."""

import math
import tomllib
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, NoReturn

from rasterflight_server.errors import ConfigError

_SHOWN = 60


def load_toml(text: bytes, origin: str) -> "TomlTable":
    """Parse a TOML file.

    Parameters
    ----------
    origin
        What errors call the file.

    Raises
    ------
    ConfigError
        It is not TOML.
    """
    try:
        return TomlTable(tomllib.loads(text.decode()), origin)
    except UnicodeDecodeError:
        raise ConfigError(f"{origin} is not UTF-8", hint="save it as UTF-8 text") from None
    except ValueError as error:
        raise ConfigError(f"{origin} is not TOML: {error}", hint="texts stand in quotes: https://toml.io") from None


class TomlTable:
    """A table whose keys are asked for one after the other; ``done`` refuses those that nobody asked for.

    Parameters
    ----------
    values
        As ``tomllib`` gives them.
    origin
        What errors call the file.
    place
        Dotted keys that lead to the table; "": the file itself.
    """

    def __init__(self, values: Mapping[str, Any], origin: str, place: str = "") -> None:
        self.values = values
        self.origin = origin
        self.place = place
        self._asked: dict[str, None] = {}

    def text(self, key: str, choices: Collection[str] = ()) -> str | None:
        """A text that is not empty, and one of the choices if there are any."""
        value = self._get(key)
        if value is None:
            return None
        if not isinstance(value, str) or not value.strip():
            self.refuse(key, f"{_shown(value)} is not a text", 'write key = "text"')
        return self._chosen(key, value, choices)

    def texts(self, key: str, choices: Collection[str] = ()) -> tuple[str, ...]:
        """A list of texts, each once."""
        value = self._get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(one, str) and one.strip() for one in value):
            self.refuse(key, f"{_shown(value)} is not a list of texts", 'write key = ["text", "text"]')
        twice = next((one for one in value if value.count(one) > 1), None)
        if twice is not None:
            self.refuse(key, f"{twice!r} stands there twice", "name it once")
        return tuple(self._chosen(key, one, choices) for one in value)

    def flag(self, key: str) -> bool | None:
        """True or false."""
        value = self._get(key)
        if value is not None and not isinstance(value, bool):
            self.refuse(key, f"{_shown(value)} is neither true nor false", "write true or false, without quotes")
        return value

    def number(self, key: str) -> float | None:
        """A finite number."""
        value = self._get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self.refuse(key, f"{_shown(value)} is not a finite number", "write it without quotes")
        return float(value)

    def count(self, key: str) -> int | None:
        """A whole number above 0."""
        value = self._get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            self.refuse(key, f"{_shown(value)} is not a whole number above 0", "leave the key out for no limit")
        return value

    def any(self, key: str) -> Any:
        """A value that the caller checks; None: there is none."""
        return self._get(key)

    def table(self, key: str) -> "TomlTable":
        """A table below this one; empty where there is none."""
        value = self._get(key)
        if value is None:
            value = {}
        if not isinstance(value, dict):
            self.refuse(key, f"{_shown(value)} is not a table", f"write [{self.at(key)}] and its keys below")
        return TomlTable(value, self.origin, self.at(key))

    def tables(self, key: str) -> Iterator[tuple[str, "TomlTable"]]:
        """Tables below this one by names that the file chooses."""
        inner = self.table(key)
        for name in inner.values:
            yield name, inner.table(name)

    def rows(self, key: str) -> list["TomlTable"]:
        """A list of tables: ``[[key]]``."""
        value = self._get(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
            self.refuse(key, f"{_shown(value)} is not a list of tables", f"write [[{self.at(key)}]] and its keys below")
        return [TomlTable(row, self.origin, f"{self.at(key)}[{number}]") for number, row in enumerate(value)]

    def required(self, key: str, value: str | None) -> str:
        """A text that must be there."""
        if value is None:
            raise ConfigError(f"{self._about()} has no key {key!r}", field=self.at(key), hint=f'add {key} = "..."')
        return value

    def done(self) -> None:
        """Refuse keys that were not asked for.

        Raises
        ------
        ConfigError
            Names the key, and the nearest that there is.
        """
        for key in self.values:
            if key not in self._asked:
                raise ConfigError(
                    f"{self._about()} has an unknown key {key!r}", field=self.at(key), hint=nearest(key, self._asked)
                )

    def refuse(self, key: str, why: str, hint: str) -> NoReturn:
        """Say that a value cannot be used."""
        raise ConfigError(f"{self.origin}: {self.at(key)}: {why}", field=self.at(key), hint=hint)

    def at(self, key: str) -> str:
        """Dotted keys that lead to a key."""
        part = key if key.replace("_", "").replace("-", "").isalnum() else f'"{key}"'
        return f"{self.place}.{part}" if self.place else part

    def _get(self, key: str) -> Any:
        self._asked[key] = None
        return self.values.get(key)

    def _chosen(self, key: str, value: str, choices: Collection[str]) -> str:
        if choices and value not in choices:
            self.refuse(key, f"{_shown(value)} is not known", nearest(value, choices))
        return value

    def _about(self) -> str:
        return f"{self.origin}: [{self.place}]" if self.place else self.origin


def nearest(name: str, known: Collection[str]) -> str:
    """What to write instead of a name that is not known."""
    close = get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known)}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
