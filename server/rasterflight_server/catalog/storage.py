"""Options of stores, as the configurations of collections have them."""

from collections.abc import Mapping
from typing import Any

from rasterflight_server.catalog.configuration import CONFIGURATION, Configuration
from rasterflight_server.errors import ConfigError, RequestError
from rasterflight_server.store import StorageOptions


def storage_options(configurations: Mapping[str, Configuration]) -> dict[str, StorageOptions]:
    """Options by the beginning of the URL, for all collections of a process together.

    Parameters
    ----------
    configurations
        By the name of the collection.

    Raises
    ------
    ConfigError
        An option cannot be, or two collections say different things of one place; names the collection and the option.
    """
    found: dict[str, tuple[str, StorageOptions]] = {}
    for name, configuration in configurations.items():
        for prefix, mapping in _tables(configuration).items():
            options = _parsed(name, prefix, mapping)
            first, other = found.setdefault(prefix, (name, options))
            if options != other:
                raise ConfigError(
                    f'storage."{prefix}" is not what collection {first!r} says of it',
                    field=f'storage."{prefix}"',
                    collection=name,
                    hint="say the same in both, give each a longer prefix, or serve them by two servers",
                )
    return {prefix: options for prefix, (_, options) in found.items()}


def _tables(configuration: Configuration) -> dict[str, Mapping[str, Any]]:
    """Storage tables; a rewrite is an option of the place that it is about."""
    found = dict(configuration.storage)
    for rewrite in configuration.rewrites:
        found[rewrite.start] = {**found.get(rewrite.start, {}), "rewrite": rewrite.to}
    return found


def _parsed(collection: str, prefix: str, mapping: Mapping[str, Any]) -> StorageOptions:
    try:
        return StorageOptions.parse(mapping, f'storage."{prefix}"')
    except RequestError as error:
        message = f"{CONFIGURATION}: {error.field}: {error.message}"
        raise ConfigError(message, field=error.field, collection=collection, hint=error.hint) from None
