"""Golden vectors, played by the client for Go."""

from conformance.others import ROOT, needs, play
from support.server import ServerProcess

CLIENT = ROOT / "client" / "go"


def test_go(vectors_server: ServerProcess) -> None:
    needs(CLIENT, "go")
    play(vectors_server.url, ["go", "run", "-buildvcs=false", "./cmd/conformance"], CLIENT)
