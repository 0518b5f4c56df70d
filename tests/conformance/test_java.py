"""Golden vectors, played by the client for Java: by the class ``io.rasterflight.conformance.Main``, in whichever module it is."""

import os
from pathlib import Path

import pytest

from conformance.others import ROOT, needs, play
from support.server import ServerProcess
from support.toolchains import alone, maven

CLIENT = ROOT / "client" / "java"
_MAIN = "io.rasterflight.conformance.Main"


@pytest.mark.timeout(900)  # the first run fetches what Maven needs
def test_java(vectors_server: ServerProcess, tmp_path: Path) -> None:
    needs(CLIENT, "java", "mvn")
    [source] = CLIENT.glob(f"*/src/*/java/{_MAIN.replace('.', '/')}.java")
    module = CLIENT / source.relative_to(CLIENT).parts[0]
    listed = tmp_path / "classpath"
    goals = ["test-compile", "dependency:build-classpath", f"-Dmdep.outputFile={listed}", "-Dmdep.includeScope=test"]
    with alone(CLIENT):
        maven(CLIENT, "-pl", module.name, "-am", *goals)
        classes = [str(module / "target" / kind) for kind in ("classes", "test-classes")]
        path = os.pathsep.join([*classes, listed.read_text().strip()])
        # Arrow reaches into buffers of the JDK
        play(vectors_server.url, ["java", "--add-opens=java.base/java.nio=ALL-UNNAMED", "-cp", path, _MAIN], CLIENT)
