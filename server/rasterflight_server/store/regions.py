"""Where a bucket of S3 is, for those who looked in another region."""

import re
import ssl
import urllib.error
import urllib.request
from functools import lru_cache
from typing import Final

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError
from rasterflight_server.store.options import StorageOptions
from rasterflight_server.store.places import Place
from rasterflight_server.store.reasons import setting

_AWS: Final = "https://s3.amazonaws.com"
_HEADER: Final = "x-amz-bucket-region"
_TIMEOUT: Final = 4.0
_REGION: Final = re.compile(r"[a-z]{2}[a-z0-9-]{3,30}")
#: Of an answer to a request that is signed for another region.
_BODY: Final = re.compile(r"<Region>([^<]{0,40})</Region>")
_ELSEWHERE: Final = (
    "redirect without LOCATION",
    "<Code>PermanentRedirect</Code>",
    "<Code>AuthorizationHeaderMalformed</Code>",
    "<Code>IllegalLocationConstraintException</Code>",
)


def elsewhere(text: str, place: Place, options: StorageOptions) -> SourceError | None:
    """The error for a bucket in another region; None: it is not that. Names the region where the store tells it."""
    if place.kind != "s3" or not any(words in text for words in _ELSEWHERE):
        return None
    said = _BODY.search(text)
    region = said[1] if said else _asked(place.name, options)
    known = region is not None and _REGION.fullmatch(region) is not None
    return SourceError(
        ErrorCode.SOURCE_NOT_FOUND,
        "the bucket of the file is in another region" + (f": {region}" if known else ""),
        hint=f"set {setting(place, 'region')} = " + (f'"{region}"' if known else "its region"),
    )


@lru_cache(maxsize=256)
def _asked(bucket: str, options: StorageOptions) -> str | None:
    """The region, from a request for the bucket without credentials: also who is refused is told."""
    url = f"{(options.endpoint or _AWS).rstrip('/')}/{bucket}"
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310 - options allow http and https
    try:
        context = ssl.create_default_context(cafile=options.ca_file)
        with urllib.request.urlopen(request, timeout=_TIMEOUT, context=context) as response:  # noqa: S310
            found: str | None = response.headers[_HEADER]
    except urllib.error.HTTPError as error:
        found = error.headers[_HEADER]
        error.close()
    except (OSError, ValueError):
        return None
    return found
