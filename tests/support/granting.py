"""Services that grant access for seconds, as clouds do for their own machines; each remembers what it granted."""

import json
import time
from datetime import UTC, datetime, timedelta
from functools import cached_property

from support.azure_server import signature
from support.gate import Answer, Asked, Gate
from support.s3_server import KEYS, SECRET_KEY


class Granting:
    """Grants one thing after the other; each holds for some seconds.

    Parameters
    ----------
    seconds
        How long what is granted holds.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        #: What was granted -> when it ends, by ``time.monotonic``.
        self.ends: dict[str, float] = {}
        #: Answer with this status instead.
        self.fails: int | None = None

    @cached_property
    def gate(self) -> Gate:
        """Where it listens."""
        return Gate(rule=self._answer)

    def grant(self, what: str) -> datetime:
        """Grant something; gives the time of its end."""
        self.ends.setdefault(what, time.monotonic() + self.seconds)
        return datetime.now(UTC) + timedelta(seconds=self.seconds)

    def holds(self, what: str) -> bool:
        """Whether something was granted, and has not ended."""
        return time.monotonic() < self.ends.get(what, 0.0)

    def _answer(self, asked: Asked) -> Answer:
        if self.fails is not None:
            return Answer(self.fails, b"secret words of the service")
        return self._grant(asked)

    def _grant(self, asked: Asked) -> Answer:
        raise NotImplementedError


class AwsMetadata(Granting):
    """The metadata service of EC2 (IMDSv2), with keys of SeaweedFS."""

    def _grant(self, asked: Asked) -> Answer:
        if asked.path == "/latest/api/token":
            return Answer(200, b"session")
        if asked.path.endswith("security-credentials/"):
            return Answer(200, b"role")
        key = KEYS[len(self.ends)]
        said = {"AccessKeyId": key, "SecretAccessKey": SECRET_KEY, "Token": "", "Expiration": _iso(self.grant(key))}
        return _json(said | {"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": _iso(datetime.now(UTC))})

    def refuses(self, asked: Asked) -> Answer | None:
        """What S3 answers to keys that have ended."""
        key = asked.headers.get("authorization", "").partition("Credential=")[2].partition("/")[0]
        return (
            None if self.holds(key) else Answer.refusal(400, "ExpiredToken", f"The provided token {key} has expired.")
        )


class AwsProcess(AwsMetadata):
    """What a ``credential_process`` of the AWS configuration prints."""

    def _grant(self, asked: Asked) -> Answer:
        key = KEYS[len(self.ends)]
        said = {"AccessKeyId": key, "SecretAccessKey": SECRET_KEY, "Expiration": _iso(self.grant(key))}
        return _json(said | {"Version": 1})


class GoogleMetadata(Granting):
    """The metadata service of Compute Engine."""

    def _grant(self, asked: Asked) -> Answer:
        token = f"token-{len(self.ends)}"
        self.grant(token)
        return _json({"access_token": token, "expires_in": int(self.seconds), "token_type": "Bearer"})

    def refuses(self, asked: Asked) -> Answer | None:
        """What Google answers to tokens that have ended."""
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        return None if self.holds(token) else Answer.refusal(401, "AuthenticationRequired", f"Invalid {token}")


class AzureSigner(Granting):
    """Signs as the Planetary Computer does; Azurite itself checks the signatures."""

    def _grant(self, asked: Asked) -> Answer:
        end = (datetime.now(UTC) + timedelta(seconds=self.seconds)).replace(microsecond=0)
        signed = signature(asked.path.rpartition("/")[2], end)
        self.grant(signed)
        return _json({"msft:expiry": _iso(end), "token": signed})


def _iso(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(said: object) -> Answer:
    return Answer(200, json.dumps(said).encode(), {"Content-Type": "application/json"})
