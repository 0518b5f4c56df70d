"""A server as it is seen from outside: its metrics, its health, its access log."""

import json
import urllib.request
from pathlib import Path
from urllib.error import HTTPError

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub
from prometheus_client.parser import text_string_to_metric_families

from support.server import ServerProcess

PORTS = ("--set", "observe.http=127.0.0.1:0", "--set", "observe.health=127.0.0.1:0")

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def get(server: ServerProcess, path: str, method: str = "GET") -> tuple[int, str]:
    """Status and body of an answer of the HTTP port."""
    request = urllib.request.Request(f"http://{server.port('http')}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


class Metrics:
    """The metrics of a server at one moment."""

    def __init__(self, server: ServerProcess) -> None:
        status, self.text = get(server, "/metrics")
        assert status == 200
        self.families = {family.name: family for family in text_string_to_metric_families(self.text)}
        self._samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float:
        """The value of a sample; 0 where there is none."""
        return self._samples.get((f"rasterflight_{name}", frozenset(labels.items())), 0.0)


def health(server: ServerProcess, service: str = "") -> int:
    """What the health service says: 1 serving, 2 not."""
    with grpc.insecure_channel(server.port("health")) as channel:
        return HealthStub(channel).Check(HealthCheckRequest(service=service), timeout=10).status


def calls(log: Path) -> list[dict]:
    """The lines of an access log."""
    return [json.loads(line) for line in log.read_text().splitlines()]
