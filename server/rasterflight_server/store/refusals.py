"""Errors of stores in words of our own; those of the stores contain URLs, and with them perhaps a signature."""

import re
from typing import Final

from obstore.exceptions import BaseError, NotSupportedError, PermissionDeniedError, UnauthenticatedError

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError
from rasterflight_server.store.options import StorageOptions
from rasterflight_server.store.places import Place
from rasterflight_server.store.reasons import named, untrusted, way_in
from rasterflight_server.store.regions import elsewhere

#: What obstore raises.
StoreErrors: Final = (BaseError, OSError, ValueError)
_STATUS: Final = re.compile(r"status code: (\d{3})")
#: Where clouds hand credentials to their own machines: asked when there are no others.
_METADATA: Final = ("/latest/api/token", "/latest/meta-data/", "performing token request")
#: Of what obstore says about a partial answer that does not fit the request.
_OTHER_BYTES: Final = ("UnexpectedRange", "NoContentRange", "MissingContentLength")
_TOO_MANY: Final = 429
#: With status 503, of S3 and of Azure.
_BUSY: Final = ("<Code>SlowDown</Code>", "<Code>ServerBusy</Code>")
_WORTH_A_TRY: Final = (408, 429, 500, 502, 503, 504)
_NO_BUCKET: Final = ("NoSuchBucket", "ContainerNotFound")


def status(error: Exception) -> int | None:
    """HTTP status that a store answered with."""
    found = _STATUS.search(str(error))
    return int(found[1]) if found else None


def worth_another_try(error: Exception, explained: SourceError) -> bool:
    """Whether the store may answer the next time."""
    code = status(error)
    if code is not None:
        return code in _WORTH_A_TRY
    if explained.code is not ErrorCode.SOURCE_UNAVAILABLE:
        # Machines that hand out credentials may fail too.
        return any(path in str(error) for path in _METADATA)
    return not isinstance(error, NotSupportedError)


def is_busy(error: Exception) -> bool:
    """Whether the store says that it is asked too often."""
    return status(error) == _TOO_MANY or any(word in str(error) for word in _BUSY)


def explain(error: Exception, place: Place, options: StorageOptions) -> SourceError:
    """What to tell the caller; of the error's own words nothing but codes that are known."""
    text, code = str(error), status(error)
    refused = isinstance(error, FileNotFoundError | PermissionDeniedError)
    found = (
        (None if refused else _no_grant(text, place, options))
        or untrusted(text, place)
        or elsewhere(text, place, options)
        or named(text, place, options)
    )
    if found is not None:
        return found
    if isinstance(error, FileNotFoundError) or code == 404:  # noqa: PLR2004
        missing = "bucket of the file" if any(word in text for word in _NO_BUCKET) else "file"
        return SourceError(ErrorCode.SOURCE_NOT_FOUND, f"the {missing} does not exist (HTTP 404)")
    if isinstance(error, PermissionDeniedError | UnauthenticatedError) or code in (401, 403):
        return SourceError(
            ErrorCode.SOURCE_FORBIDDEN,
            "the store refuses the file (HTTP 401 or 403)",
            hint=way_in(place, options),
        )
    return _no_answer(error, text)


def _no_answer(error: Exception, text: str) -> SourceError:
    """Error for what may have been meant well."""
    if isinstance(error, NotSupportedError):
        return SourceError(
            ErrorCode.SOURCE_UNAVAILABLE,
            "the web server of the file does not answer range requests",
            hint="serve the file from one that does",
        )
    if any(word in text for word in _OTHER_BYTES):
        return other_bytes()
    return SourceError(ErrorCode.SOURCE_UNAVAILABLE, "the store of the file does not answer, or answers with an error")


def other_bytes() -> SourceError:
    """Error for an answer to another question."""
    return SourceError(
        ErrorCode.SOURCE_UNAVAILABLE,
        "the store answers with other bytes than it was asked for, or does not say with which",
    )


def compressed() -> SourceError:
    """Error for an answer whose bytes are not those of the file."""
    return SourceError(
        ErrorCode.SOURCE_UNAVAILABLE,
        "the web server of the file compresses what it sends, ranges too",
        hint="turn compression off for these files",
    )


def unencrypted() -> SourceError:
    """Error for credentials that would travel in the open."""
    return SourceError(
        ErrorCode.SOURCE_FORBIDDEN,
        "the credentials of the store may not be sent without encryption",
        hint="use https, or say allow_http = true in the storage options",
    )


def _no_grant(text: str, place: Place, options: StorageOptions) -> SourceError | None:
    """Error for credentials that were not to be had or to be sent, if it was that."""
    if any(path in text for path in _METADATA):
        return SourceError(
            ErrorCode.SOURCE_FORBIDDEN,
            "the server has no credentials for the store of the file",
            hint="set them in its environment, or say anonymous = true in the storage options if the bucket is public",
        )
    # Web servers are reached by http too: what they redirect to is neither http nor https.
    if "BadScheme" in text and place.kind != "http":
        return unencrypted()
    if "credential provider" in text:
        check = f"see what says: aws sts get-caller-identity --profile {options.profile}"
        return SourceError(
            ErrorCode.SOURCE_UNAVAILABLE,
            "no access to the file was to be had from the service that grants it",
            hint="" if options.profile is None else check,
        )
    return None
