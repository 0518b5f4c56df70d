"""What a server process is told by whoever started it, besides the settings."""

from dataclasses import dataclass, field

from rasterflight_server.flight.crew import Crew


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """Facts about one process."""

    #: Also end when standard input is closed: the process that started this one has gone. A socket file's folder, made for
    #: this server alone, is removed with it.
    lifeline: bool = False
    #: The processes of the same server. When they are left alone, nothing stays of their folder.
    crew: Crew = field(default_factory=Crew)
