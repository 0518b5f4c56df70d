"""Where settings come from: a file, variables of the environment, flags."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from rasterflight_server.catalog.toml_table import load_toml
from rasterflight_server.errors import ConfigError
from rasterflight_server.settings.keys import COLLECTIONS, Key, all_keys, find_key, nearest_key, sections
from rasterflight_server.settings.kinds import WrongValueError, without_secrets

#: Names the file.
FILE_VARIABLE: Final = "RASTERFLIGHT_SETTINGS"
_PREFIX: Final = "RASTERFLIGHT_"
#: What Kubernetes adds for services of the same name.
_KUBERNETES: Final = re.compile(
    r".*(_SERVICE_HOST|_SERVICE_PORT(_\w+)?|_PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)=.*|.*_PORT=\w+://.*"
)
#: How alike a variable's first word and a section must be for it to be meant.
_ALIKE: Final = 0.85
_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class Given:
    """A value that somebody gave."""

    key: Key
    value: object
    #: The key as it was written, with where: what errors call it.
    label: str
    #: Where it comes from, for people.
    source: str


def from_file(path: Path) -> Iterator[Given]:
    """The values of a TOML file, whose relative paths start at its folder.

    Raises
    ------
    ConfigError
        It cannot be read, has an unknown key, or a value that cannot be.
    """
    path = path.expanduser()
    try:
        text = path.read_bytes()
    except OSError as error:
        why = f"the settings {str(path)!r} cannot be read: {error.strerror}"
        raise ConfigError(why, field="--settings", hint=f"--settings or {FILE_VARIABLE} names the file") from None
    base = path.parent.absolute()
    for name, value in _leaves(load_toml(text, str(path)).values, str(path), ""):
        label = f"{path}: {name}"
        key = _known(name, label)
        yield Given(key, _made(key, key.kind.take, value, label, base), label, f"file {path}")


def from_environment(environment: Mapping[str, str]) -> Iterator[Given]:
    """The values of variables ``RASTERFLIGHT_<SECTION>_<KEY>``; ``RASTERFLIGHT_COLLECTIONS_NY`` is ``collections.ny``.

    Raises
    ------
    ConfigError
        A variable of a section names no key, or has a value that cannot be.
    """
    variables = {key.variable: key for key in all_keys().values()}
    tables = [section.upper() for section in (*sections(), COLLECTIONS) if "." not in section]
    for variable in sorted(environment):
        if not variable.startswith(_PREFIX) or variable == FILE_VARIABLE:
            continue
        table, _, rest = variable.removeprefix(_PREFIX).partition("_")
        key = find_key(f"{COLLECTIONS}.{rest.lower()}") if table == COLLECTIONS.upper() else variables.get(variable)
        if key is None:
            meant = get_close_matches(table, tables, n=1, cutoff=_ALIKE)
            if not meant or _KUBERNETES.fullmatch(f"{variable}={environment[variable]}"):
                continue
            known = [*variables, f"{_PREFIX}{COLLECTIONS.upper()}_{rest or 'NAME'}"]
            hint = _nearest_variable(variable, [name for name in known if name.startswith(f"{_PREFIX}{meant[0]}_")])
            raise ConfigError(f"the variable {variable} sets nothing", field=variable, hint=hint)
        value = _made(key, key.kind.parse, environment[variable], variable, Path.cwd())
        yield Given(key, value, variable, f"variable {variable}")


def from_flag(flag: str, name: str, text: str) -> Given:
    """The value of a flag.

    Parameters
    ----------
    flag
        As it was written.
    name
        Dotted name of the key.

    Raises
    ------
    ConfigError
        There is no such key, or the value cannot be.
    """
    key = _known(name, flag)
    return Given(key, _made(key, key.kind.parse, text, flag, Path.cwd()), flag, f"flag {flag.partition(' ')[0]}")


def _nearest_variable(variable: str, known: Sequence[str]) -> str:
    # What all have in common says nothing.
    near = get_close_matches(variable.removeprefix(_PREFIX), [name.removeprefix(_PREFIX) for name in known], n=1)
    return f"did you mean '{_PREFIX}{near[0]}'?" if near else f"there are: {', '.join(known)}"


def _leaves(table: Mapping[str, Any], origin: str, place: str) -> Iterator[tuple[str, Any]]:
    """Dotted names and values of a document; what is no table of ours is a value."""
    for part, value in table.items():
        name = f"{place}{part}"
        if name in sections() or name == COLLECTIONS:
            if not isinstance(value, dict):
                raise ConfigError(f"{origin}: {name} is a table", field=name, hint=f"write [{name}] and its keys below")
            yield from _leaves(value, origin, f"{name}.")
        else:
            yield name, value


def _known(name: str, label: str) -> Key:
    key = find_key(name)
    if key is None:
        raise ConfigError(f"{label}: there is no such setting", field=name, hint=nearest_key(name))
    return key


def _made(key: Key, make: Callable[[Any, Path], object], value: object, label: str, base: Path) -> object:
    # What is optional is taken back by an empty text.
    if key.optional and value == "":
        return None
    try:
        return make(value, base)
    except WrongValueError as error:
        raise ConfigError(f"{label}: {_shown(key, value)} {error.why}", field=key.name, hint=error.hint) from None


def _shown(key: Key, value: object) -> str:
    if key.secret:
        return "the value"
    text = repr(without_secrets(value) if isinstance(value, str) else value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
