"""The errors of the server: one tree, each with a code, the thing at fault and the way out.

ServiceError
├── RequestError   the caller can mend it
├── NoDataError    the request is fine, nothing answers it
├── SourceError    a file that the index names cannot be read
├── BadIndexError  an index on disk cannot be used
└── ConfigError    the settings of the server, or the configuration of a collection, cannot be used
"""

from rasterflight_protocol import ErrorCode


class ServiceError(Exception):
    """Base of all errors that the server reports; everything but these is a bug.

    Parameters
    ----------
    code
        What went wrong, for programs.
    message
        What went wrong, for people: names the thing at fault. No path of the server, no secret.
    field
        Field of the request, for example ``"filters[0].date_range"``.
    collection, record, asset
        What it is about, where known.
    hint
        The way out.
    retry_after
        Seconds after which the same call may succeed; None: not known.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        field: str = "",
        collection: str = "",
        record: str = "",
        asset: str = "",
        hint: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        self.collection = collection
        self.record = record
        self.asset = asset
        self.hint = hint
        self.retry_after = retry_after

    def __str__(self) -> str:
        about = "/".join(part for part in (self.collection, self.record, self.asset) if part)
        text = f"{about}: {self.message}" if about else self.message
        return f"{text} ({self.hint})" if self.hint else text


class RequestError(ServiceError):
    """The caller asked for something that cannot be."""


class NoDataError(ServiceError):
    """The request is fine, and its answer is empty."""

    def __init__(self, message: str, *, collection: str = "", hint: str = "") -> None:
        super().__init__(ErrorCode.NO_DATA, message, collection=collection, hint=hint)


class SourceError(ServiceError):
    """A file cannot be read. Raised near the file, completed with record and asset where these are known."""

    def about(self, *, record: str, asset: str) -> "SourceError":
        """The same error, naming record and asset."""
        return SourceError(self.code, self.message, record=record, asset=asset, hint=self.hint)


class BadIndexError(ServiceError):
    """A directory is not an index, or not one that this version can use; meets the operator, not the caller."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(ErrorCode.INTERNAL, message, hint=hint)


class ConfigError(ServiceError):
    """A configuration holds something that cannot be; meets the operator, not the caller."""

    def __init__(self, message: str, *, field: str = "", collection: str = "", hint: str = "") -> None:
        super().__init__(ErrorCode.INTERNAL, message, field=field, collection=collection, hint=hint)
