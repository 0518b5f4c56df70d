"""What an operator can set: one frozen object, a section for each subject."""

from rasterflight_server.settings.access import AccessSettings, JwtSettings
from rasterflight_server.settings.caching import CacheSettings
from rasterflight_server.settings.limits import CallerLimits, LimitSettings, RequestLimits
from rasterflight_server.settings.observing import ObserveSettings
from rasterflight_server.settings.querying import SqlSettings
from rasterflight_server.settings.serving import ServerSettings
from rasterflight_server.settings.settings import Settings
from rasterflight_server.settings.transport import TlsSettings

__all__ = [
    "AccessSettings",
    "CacheSettings",
    "CallerLimits",
    "JwtSettings",
    "LimitSettings",
    "ObserveSettings",
    "RequestLimits",
    "ServerSettings",
    "Settings",
    "SqlSettings",
    "TlsSettings",
]
