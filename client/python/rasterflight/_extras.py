"""Optional libraries, imported where they are needed."""

import importlib
from types import ModuleType


def need(module: str, extra: str) -> ModuleType:
    """Import a library of an extra.

    Raises
    ------
    ImportError
        It is not installed; says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or module.partition(".")[0] != error.name.partition(".")[0]:
            raise
        raise ImportError(
            f'{error.name} is not installed: pip install "rasterflight[{extra}]"', name=error.name
        ) from None
