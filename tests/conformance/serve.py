"""Starts the server that the vectors are about: prints its URL, and goes on until standard input ends.

python tests/conformance/serve.py
"""

import sys
from contextlib import suppress
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from conformance.served import served

    with served() as (server, _), suppress(KeyboardInterrupt):
        print(server.url, flush=True)
        sys.stdin.read()
