"""Access signatures for Azure, as the Planetary Computer hands them out."""

import json
import os
import urllib.request
from datetime import datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from obstore.store import AzureSASToken

#: Gives a caller more requests a minute.
SUBSCRIPTION_KEY: Final = "PC_SDK_SUBSCRIPTION_KEY"
_TIMEOUT: Final = 10.0


class SigningError(Exception):
    """The service did not hand out a signature; names nothing that is secret."""


class SasTokens:
    """Fetches the signature for a container; called by the store before the first request, and again before it expires.

    Parameters
    ----------
    url
        Of the service.
    account, container
        What the signature is for.
    """

    def __init__(self, url: str, account: str, container: str) -> None:
        self._url = f"{url.rstrip('/')}/{account}/{container}"

    def __call__(self) -> "AzureSASToken":
        """Fetch a signature.

        Raises
        ------
        SigningError
            There is none.
        """
        key = os.environ.get(SUBSCRIPTION_KEY)
        request = urllib.request.Request(self._url, headers={"Ocp-Apim-Subscription-Key": key} if key else {})  # noqa: S310 - options allow http and https
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:  # noqa: S310
                answer = json.load(response)
            return {"sas_token": str(answer["token"]), "expires_at": datetime.fromisoformat(answer["msft:expiry"])}
        except (OSError, ValueError, KeyError, TypeError):
            raise SigningError("the signing service gave no signature") from None
