"""Golden vectors, played by the client for Java."""

import subprocess

from conformance.others import ROOT, needs, play
from support.server import ServerProcess

CLIENT = ROOT / "client" / "java"
_MAIN = "io.rasterflight.conformance.Main"


def test_java(vectors_server: ServerProcess) -> None:
    needs(CLIENT, "java", "mvn")
    options = ["-q", "-o", "-pl", "conformance", "-am"]
    subprocess.run(["mvn", *options, "package", "-DskipTests"], cwd=CLIENT, check=True, timeout=600)
