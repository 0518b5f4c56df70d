"""The settings in effect: defaults, then the file, then variables, then flags."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from rasterflight_server.errors import ConfigError
from rasterflight_server.settings.check import conflicts
from rasterflight_server.settings.keys import build
from rasterflight_server.settings.settings import Settings
from rasterflight_server.settings.sources import FILE_VARIABLE, Given, from_environment, from_file


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and where each came from."""

    settings: Settings
    #: By dotted name; what is not here has its default.
    given: Mapping[str, Given]

    def refuse(self, name: str, why: str, hint: str) -> NoReturn:
        """Say that a setting cannot be used, by the name that it was given by; raises ``ConfigError``."""
        label = self.given[name].label if name in self.given else name
        raise ConfigError(f"{label}: {why}", field=name, hint=hint)


def load(file: Path | None = None, environment: Mapping[str, str] | None = None, flags: Iterable[Given] = ()) -> Loaded:
    """Put settings together; of two sources that say the same, the later one holds.

    Parameters
    ----------
    file
        A TOML file; None: the one that the variable ``RASTERFLIGHT_SETTINGS`` names, if it does.
    environment
        Variables; None: none count.
    flags
        What flags say, in their order.

    Raises
    ------
    ConfigError
        Names the key as it was written, what is wrong with it, and the way out.
    """
    environment = environment or {}
    if file is None and environment.get(FILE_VARIABLE):
        file = Path(environment[FILE_VARIABLE])
    given: dict[str, Given] = {}
    for source in (() if file is None else from_file(file), from_environment(environment), flags):
        given |= {one.key.name: one for one in source}
    loaded = Loaded(build({name: one.value for name, one in given.items()}), given)
    for conflict in conflicts(loaded.settings):
        loaded.refuse(conflict.key, conflict.why, conflict.hint)
    return loaded
