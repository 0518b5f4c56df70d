"""All that an operator can set, as one object."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rasterflight_server.settings.access import AccessSettings
from rasterflight_server.settings.caching import CacheSettings
from rasterflight_server.settings.limits import LimitSettings
from rasterflight_server.settings.observing import ObserveSettings
from rasterflight_server.settings.querying import SqlSettings
from rasterflight_server.settings.serving import ServerSettings
from rasterflight_server.settings.transport import TlsSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that an operator can set; a field that is a dataclass is a table of the file.

    ``load`` makes one from a file, variables and flags. In a section, a field without ``repr`` is a secret: it is never shown.
    """

    server: ServerSettings = field(default_factory=ServerSettings)
    cache: CacheSettings = field(default_factory=CacheSettings)
    tls: TlsSettings = field(default_factory=TlsSettings)
    access: AccessSettings = field(default_factory=AccessSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    observe: ObserveSettings = field(default_factory=ObserveSettings)
    sql: SqlSettings = field(default_factory=SqlSettings)

    collections: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Name under which to serve -> directory of the index, or its URL."""
