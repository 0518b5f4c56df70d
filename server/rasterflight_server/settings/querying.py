"""``[sql]``: statements over Flight SQL, and what they may take."""

from dataclasses import dataclass, replace

from rasterflight_server.settings.kinds import ByteSize, Positive, Time


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlSettings:
    """Statements over Flight SQL, and what they may take."""

    enabled: bool = True
    """Statements are answered, on the same port as all else."""

    memory: ByteSize = 512 << 20
    """Bytes of memory that one statement may take."""

    threads: Positive = 2
    """Threads that one statement may use."""

    seconds: Time = 60.0
    """How long a statement may work; that a client reads slowly does not count."""

    statements: int = 4
    """Statements that run at once, each in a process of its own; those beyond wait for 5 seconds, then they are BUSY."""

    def part(self, processes: int) -> "SqlSettings":
        """What one of several server processes may take."""
        return replace(self, statements=max(1, self.statements // processes))
