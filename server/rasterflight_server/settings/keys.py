"""The keys of all settings, as the fields of the sections and their types say."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from difflib import get_close_matches
from types import NoneType
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

from rasterflight_server.settings.documentation import field_texts
from rasterflight_server.settings.kinds import KINDS, Kind, Place
from rasterflight_server.settings.settings import Settings

#: The table whose keys are names that the operator chooses.
COLLECTIONS: Final = "collections"


@dataclass(frozen=True, slots=True)
class Key:
    """A setting."""

    #: Dotted: ``limits.caller.streams``.
    name: str
    kind: Kind
    #: Whether it may be None.
    optional: bool
    default: object
    secret: bool
    #: What it is, in a sentence; "" where its name says it.
    about: str

    @property
    def variable(self) -> str:
        """The variable of the environment that sets it."""
        return "RASTERFLIGHT_" + self.name.replace(".", "_").upper()


@functools.cache
def all_keys() -> Mapping[str, Key]:
    """All keys but those of ``[collections]``, by dotted name, in the order of the fields."""
    return {key.name: key for key in _keys(Settings, "")}


@functools.cache
def sections() -> Mapping[str, type]:
    """The tables of the file but ``[collections]``, by dotted name: the sections, and those within them."""
    return dict(_sections(Settings, ""))


def find_key(name: str) -> Key | None:
    """A key by its dotted name; None: there is none."""
    table, _, rest = name.partition(".")
    if table == COLLECTIONS and rest:
        return Key(name, Place(), optional=False, default=None, secret=False, about="")
    return all_keys().get(name)


def nearest_key(name: str) -> str:
    """What to write instead of a dotted name that is no key."""
    names = [*all_keys(), *sections(), COLLECTIONS]
    if name in names:
        return (
            f"it is a table: set {COLLECTIONS}.NAME"
            if name == COLLECTIONS
            else f"it is a table: {_within(name, names)}"
        )
    table, _, last = name.rpartition(".")
    # Right but for its table, or nearly right in whole.
    alike = [known for known in all_keys() if known.rpartition(".")[2] == last]
    others = [known for known in names if not name.startswith(f"{known}.")]
    near = get_close_matches(name, alike, n=1, cutoff=0) or get_close_matches(name, others, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"there are: {_within(table, names) or _within('', names)}"


def _within(table: str, names: Sequence[str]) -> str:
    return ", ".join(name for name in names if name.rpartition(".")[0] == table)


def value_of(settings: Settings, name: str) -> Any:
    """The value of a key by its dotted name."""
    table, _, rest = name.partition(".")
    if table == COLLECTIONS:
        return settings.collections[rest]
    return functools.reduce(getattr, name.split("."), settings)


def build(values: Mapping[str, Any]) -> Settings:
    """Settings that hold these values, by dotted name; all others are those of the fields."""
    collections = {
        name.removeprefix(f"{COLLECTIONS}."): value
        for name, value in values.items()
        if name.startswith(f"{COLLECTIONS}.")
    }
    return Settings(**_arguments(Settings, "", values), collections=collections)


def _arguments(section: type, place: str, values: Mapping[str, Any]) -> dict[str, Any]:
    arguments = {}
    for field, hint in _fields(section):
        name = f"{place}{field.name}"
        if (inner := _table(hint)) is not None:
            arguments[field.name] = inner(**_arguments(inner, f"{name}.", values))
        elif name in values:
            arguments[field.name] = values[name]
    return arguments


def _sections(section: type, place: str) -> Iterator[tuple[str, type]]:
    for field, hint in _fields(section):
        if (inner := _table(hint)) is not None:
            yield f"{place}{field.name}", inner
            yield from _sections(inner, f"{place}{field.name}.")


def _keys(section: type, place: str) -> Iterator[Key]:
    for field, hint in _fields(section):
        name = f"{place}{field.name}"
        if (inner := _table(hint)) is not None:
            yield from _keys(inner, f"{name}.")
        else:
            kind, optional = _kind(hint)
            yield Key(name, kind, optional, _default(field), not field.repr, field_texts(section).get(field.name, ""))


def _fields(section: type) -> Iterator[tuple[Field[Any], Any]]:
    """The fields of a section with their types, tables last as TOML wants them; but for ``[collections]``."""
    hints = get_type_hints(section, include_extras=True)
    found = [
        (field, hints[field.name]) for field in fields(section) if (section, field.name) != (Settings, COLLECTIONS)
    ]
    yield from sorted(found, key=lambda pair: _table(pair[1]) is not None)


def _table(hint: Any) -> type | None:
    return hint if isinstance(hint, type) and is_dataclass(hint) else None


def _default(field: Field[Any]) -> object:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _kind(hint: Any) -> tuple[Kind, bool]:
    optional = NoneType in get_args(hint)
    if optional:
        (hint,) = (one for one in get_args(hint) if one is not NoneType)
    if get_origin(hint) is Annotated:
        return next(mark for mark in get_args(hint) if isinstance(mark, Kind)), optional
    return KINDS[hint], optional
