"""Where the ports for looking at the server are."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from rasterflight_server.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Address:
    """Host and port."""

    host: str
    port: int
    #: Name of the setting.
    field: str

    @classmethod
    def parse(cls, text: str, field: str) -> "Address":
        """Understand ``HOST:PORT``, as settings take it; port 0 is any free one."""
        parts = urlsplit(f"//{text}")
        assert parts.hostname is not None
        assert parts.port is not None
        return cls(parts.hostname, parts.port, field)

    def in_use(self) -> ConfigError:
        """What is said where it cannot be listened on."""
        return ConfigError(
            f"{self} cannot be listened on: it is in use, or not an address of this machine",
            field=self.field,
            hint="choose another address",
        )

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"
