"""Certificates that are renewed while a server of several processes runs, which read them as they start: one after the other starts anew."""

import hashlib
import logging
import threading
from collections.abc import Callable
from typing import Final

from rasterflight_server.errors import ConfigError
from rasterflight_server.flight.listen import Listen
from rasterflight_server.flight.tls import read_tls
from rasterflight_server.settings.transport import TlsSettings

_log = logging.getLogger("rasterflight_server")

_LOOK_SECONDS: Final = 30.0


class Renewal:
    """Looks at the files twice a minute, and when it is told to.

    Parameters
    ----------
    settings, listen
        Where the files are, and for what; of a server that is not encrypted there are none.
    renew
        Makes all processes take what is in the files now, and waits for it.
    """

    def __init__(self, settings: TlsSettings, listen: Listen, renew: Callable[[], None]) -> None:
        self._settings = settings
        self._listen = listen
        self._renew = renew
        named = (settings.certificate, settings.key, settings.client_ca) if listen.encrypted else ()
        self._files = [path for path in named if path is not None]
        # Before the processes read them: what comes after is noticed the next time.
        self._seen = self._digest()
        self._told = threading.Event()

    def start(self) -> None:
        """Look from now on, on a thread of its own."""
        if self._files:
            threading.Thread(target=self._watch, daemon=True, name="renewal").start()

    def look(self) -> None:
        """Look at the files now."""
        self._told.set()

    def _watch(self) -> None:
        while True:
            self._told.wait(_LOOK_SECONDS)
            self._told.clear()
            self.take()

    def take(self) -> None:
        """Have what is in the files taken, if it is something else, and can be used."""
        found = self._digest()
        if found == self._seen:
            return
        self._seen = found
        try:
            read_tls(self._settings, self._listen)
        except ConfigError as error:
            _log.error("%s; the certificates from before hold on", error)
            return
        _log.info("the certificates have changed: the processes are started anew, one after the other")
        self._renew()

    def _digest(self) -> bytes:
        digest = hashlib.sha256()
        for path in self._files:
            try:
                digest.update(hashlib.sha256(path.read_bytes()).digest())
            except OSError:
                digest.update(str(path).encode())
        return digest.digest()
