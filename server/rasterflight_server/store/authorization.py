"""The header that lets a reader in, from an environment variable or a file that the options of a store name."""

import os
from base64 import b64encode
from pathlib import Path

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError
from rasterflight_server.store.options import StorageOptions


def read_authorization(options: StorageOptions) -> str | None:
    """The value of the header ``Authorization`` as it is now; None: the options name none.

    Raises
    ------
    SourceError
        SOURCE_FORBIDDEN: there is nothing where the options point to.
    """
    token = _read("token", options.token_env, options.token_file)
    if token is not None:
        return f"Bearer {token}"
    login = _read("login", options.login_env, options.login_file)
    return None if login is None else f"Basic {b64encode(login.encode()).decode()}"


def _read(what: str, variable: str | None, file: str | None) -> str | None:
    if variable is not None:
        found, where = os.environ.get(variable, "").strip(), f"the environment variable {variable}"
    elif file is not None:
        found, where = _content(file), f"the {what} file"
    else:
        return None
    if not found.isprintable() or not found or (what == "login" and ":" not in found):
        raise SourceError(
            ErrorCode.SOURCE_FORBIDDEN,
            f"{where} holds no {what} for the store of the file",
            hint="the operator of the server can mend it" + ("" if what == "token" else ": it is USER:PASSWORD"),
        )
    return found


def _content(file: str) -> str:
    try:
        return Path(file).expanduser().read_text().strip()
    except (OSError, ValueError):
        return ""
