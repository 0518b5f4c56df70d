"""What a setting may hold: taken from text or TOML, checked, and written as TOML."""
# ruff: noqa: D102 - the methods of all kinds are described at Kind

import json
import re
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

_UNITS: Final = tuple((f"{letter}iB", 1 << 10 * power) for power, letter in enumerate("KMGT", 1))[::-1]
_SIZE: Final = re.compile(r"(\d{1,18}(?:\.\d+)?)\s*(?:([KMGT])(i?))?B?", re.IGNORECASE | re.ASCII)
#: TOML keeps whole numbers in 64 bits.
_LARGEST: Final = 2**63 - 1


class WrongValueError(Exception):
    """A value cannot be used.

    Parameters
    ----------
    why
        Goes on after the value: "is not a whole number".
    hint
        What to write instead.
    """

    def __init__(self, why: str, hint: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.hint = hint


class Kind(ABC):
    """A kind of value. Relative paths start at a folder ``base``."""

    @abstractmethod
    def take(self, value: object, base: Path) -> object:
        """The setting that a value of a TOML file stands for; raises ``WrongValueError``."""

    def parse(self, text: str, base: Path) -> object:
        """The setting that a text stands for, as variables and flags have it; raises ``WrongValueError``."""
        return self.take(text, base)

    def write(self, value: Any) -> str:
        """A setting as TOML, from which ``take`` makes the same one."""
        return quoted(str(value))


@dataclass(frozen=True, slots=True)
class Whole(Kind):
    """A whole number."""

    least: int = 0

    def take(self, value: object, base: Path) -> object:  # noqa: ARG002 - of all kinds
        if isinstance(value, bool) or not isinstance(value, int):
            raise WrongValueError("is not a whole number", "write it without quotes and point")
        if not self.least <= value <= _LARGEST:
            raise WrongValueError(f"is not a number from {self.least} on")
        return value

    def parse(self, text: str, base: Path) -> object:
        try:
            number = int(text)
        except ValueError:
            raise WrongValueError("is not a whole number", f"write digits alone: {max(self.least, 4)}") from None
        return self.take(number, base)

    def write(self, value: Any) -> str:
        return str(value)


class Size(Kind):
    """Bytes: a number, or a text with a unit."""

    def take(self, value: object, base: Path) -> object:
        return self.parse(value, base) if isinstance(value, str) else Whole().take(value, base)

    def parse(self, text: str, base: Path) -> object:
        found = _SIZE.fullmatch(text.strip())
        if found is None:
            raise WrongValueError("is no size such as 20GiB or 500MB")
        number, prefix, binary = found.groups()
        factor = (1024 if binary else 1000) ** (" KMGT".index(prefix.upper()) if prefix else 0)
        return Whole().take(int(Decimal(number) * factor), base)

    def write(self, value: Any) -> str:
        for unit, size in _UNITS:
            if value and value % size == 0:
                return f'"{value // size}{unit}"'
        return str(value)


@dataclass(frozen=True, slots=True)
class Number(Kind):
    """A finite number from 0 on, or above it."""

    above: bool = False

    def take(self, value: object, base: Path) -> object:  # noqa: ARG002 - of all kinds
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise WrongValueError("is not a number", "write it without quotes")
        if not 0 <= value <= sys.float_info.max:
            raise WrongValueError("is not a finite number from 0 on")
        if self.above and not value:
            raise WrongValueError("leaves no time at all", "write a number above 0")
        return float(value)

    def parse(self, text: str, base: Path) -> object:
        try:
            number = float(text)
        except ValueError:
            raise WrongValueError("is not a number", "write digits alone: 2.5") from None
        return self.take(number, base)

    def write(self, value: Any) -> str:
        return repr(float(value))


class Switch(Kind):
    """True or false."""

    def take(self, value: object, base: Path) -> object:  # noqa: ARG002 - of all kinds
        if not isinstance(value, bool):
            raise WrongValueError("is neither true nor false", "write true or false, without quotes")
        return value

    def parse(self, text: str, base: Path) -> object:  # noqa: ARG002 - of all kinds
        try:
            return {"true": True, "1": True, "false": False, "0": False}[text.strip().lower()]
        except KeyError:
            raise WrongValueError("is neither true nor false", "write true or false") from None

    def write(self, value: Any) -> str:
        return str(value).lower()


class Text(Kind):
    """A text that is not empty."""

    def take(self, value: object, base: Path) -> object:  # noqa: ARG002 - of all kinds
        return self._text(value)

    @staticmethod
    def _text(value: object) -> str:
        if not isinstance(value, str):
            raise WrongValueError("is not a text", "write it in quotes")
        if not value.strip():
            raise WrongValueError("is empty")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise WrongValueError("is not UTF-8") from None
        if "\0" in value:
            raise WrongValueError("holds a NUL")
        return value


class File(Text):
    """The path of a file or folder; ``-`` stays what it is."""

    def take(self, value: object, base: Path) -> object:
        text = self._text(value)
        if text == "-":
            return Path(text)
        try:
            return base / Path(text).expanduser()
        except RuntimeError:
            raise WrongValueError("is in the home of a user who is not known", "write the path in full") from None

    def write(self, value: Any) -> str:
        return quoted(str(value if str(value) == "-" else Path(value).absolute()))


class Place(File):
    """A URL, or the path of a file or folder."""

    def take(self, value: object, base: Path) -> object:
        text = self._text(value)
        return text if "://" in text else str(super().take(text, base))

    def write(self, value: Any) -> str:
        return quoted(value) if "://" in value else super().write(value)


class Address(Text):
    """``HOST:PORT``."""

    def take(self, value: object, base: Path) -> object:  # noqa: ARG002 - of all kinds
        text = self._text(value)
        try:
            parts = urlsplit(f"//{text}")
            whole = bool(parts.hostname) and parts.port is not None and parts.netloc == text and "@" not in text
        except ValueError:
            whole = False
        if not whole:
            raise WrongValueError(
                "is not HOST:PORT", 'write an address such as "127.0.0.1:8816", with a port up to 65535'
            )
        return text


#: Types of fields that say more than Python's own.
ByteSize = Annotated[int, Size()]
Positive = Annotated[int, Whole(least=1)]
#: Seconds that must be some.
Time = Annotated[float, Number(above=True)]
HostPort = Annotated[str, Address()]
PathOrUrl = Annotated[str, Place()]

KINDS: Final[dict[type, Kind]] = {int: Whole(), float: Number(), bool: Switch(), str: Text(), Path: File()}


def quoted(text: str) -> str:
    """A text in quotes, as TOML has it."""
    # JSON escapes as TOML does, but for one character.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def without_secrets(text: str) -> str:
    """A text whose URL, if it is one, has lost what may be a secret."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        return text
    authority, slash, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    # abfs://container@account/ is no secret.
    if at and (":" in user or scheme.lower().startswith("http")):
        authority = f"***@{host}"
    path, query, _ = f"{authority}{slash}{path}".partition("?")
    return f"{scheme}://{path}{'?***' if query else ''}"
