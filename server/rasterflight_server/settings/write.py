"""Settings as a TOML file: for people, with what each key means, and for processes."""

from collections.abc import Iterator
from typing import Final

from rasterflight_server.settings.documentation import field_texts
from rasterflight_server.settings.keys import COLLECTIONS, Key, all_keys, find_key, sections, value_of
from rasterflight_server.settings.kinds import quoted, without_secrets
from rasterflight_server.settings.load import Loaded
from rasterflight_server.settings.settings import Settings

_BARE: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def show(loaded: Loaded) -> str:
    """Settings in effect, what they mean and where they come from; what is a secret, or unset, is a comment."""
    lines = ["# The settings in effect: rasterflight-server serve --settings FILE"]
    for section, keys in _tables(loaded.settings):
        lines += ["", *_heading(section)]
        for key in keys:
            value = value_of(loaded.settings, key.name)
            source = loaded.given[key.name].source if key.name in loaded.given else "default"
            about = f"# {key.about}\n" if key.about else ""
            lines.append(f"{about}{_line(key, value)}  # {_one_line(source)}")
    return "\n".join(lines) + "\n"


def example() -> str:
    """All settings with their defaults, as comments, to make a first file of."""
    lines = [
        "# Settings of rasterflight-server, each with its default: rasterflight-server serve --settings FILE",
        "# Relative paths start at the folder of this file. Variables (RASTERFLIGHT_SERVER_LISTEN) and flags go before it.",
    ]
    for section, keys in _tables(Settings()):
        lines += ["", *_heading(section)]
        for key in keys:
            about = f"# {key.about}\n" if key.about else ""
            lines.append(f"{about}#{_assignment(key, key.default)}")
    lines.append('#ny = "out/ny"')
    return "\n".join(lines) + "\n"


def write(settings: Settings) -> str:
    """Settings whole, secrets too, and nothing else: what ``load`` makes the same ones of."""
    lines = []
    for section, keys in _tables(settings):
        lines += [f"[{section}]", *(_assignment(key, value_of(settings, key.name)) for key in keys)]
    return "\n".join(lines) + "\n"


def _tables(settings: Settings) -> Iterator[tuple[str, list[Key]]]:
    for section in sections():
        yield section, [key for key in all_keys().values() if key.name.rpartition(".")[0] == section]
    named = (find_key(f"{COLLECTIONS}.{name}") for name in settings.collections)
    yield COLLECTIONS, [key for key in named if key is not None]


def _heading(section: str) -> tuple[str, str]:
    if section == COLLECTIONS:
        return f"# {field_texts(Settings)[COLLECTIONS]}", f"[{section}]"
    return f"# {field_texts(sections()[section])['']}", f"[{section}]"


def _line(key: Key, value: object) -> str:
    """An assignment for others to see."""
    if value is None and key.default is None:
        return f"#{_assignment(key, value)}"
    if key.secret:
        return f"#{_assignment(key, '***')}"
    if isinstance(value, str) and without_secrets(value) != value:
        return f"#{_assignment(key, without_secrets(value))}"
    return _assignment(key, value)


def _assignment(key: Key, value: object) -> str:
    in_collections = key.name.startswith(f"{COLLECTIONS}.")
    last = key.name.removeprefix(f"{COLLECTIONS}.") if in_collections else key.name.rpartition(".")[2]
    name = last if _BARE.issuperset(last) else quoted(last)
    return f"{name} = {quoted('') if value is None else key.kind.write(value)}"


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
