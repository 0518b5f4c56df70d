"""An identity provider of the tests: keys, the tokens that they sign, and a server that publishes them."""

import json
import ssl
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from support.certificates import Pair
from support.web import WebServer

ISSUER = "https://login.example"
AUDIENCE = "rasterflight"


class Key:
    """A key of the provider."""

    def __init__(self, kid: str, algorithm: str = "ES256") -> None:
        self.kid = kid
        self.algorithm = algorithm
        if algorithm.startswith("ES"):
            self.private: Any = ec.generate_private_key(ec.SECP256R1())
            public = ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        else:
            self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            public = RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        self.jwk = {**public, "kid": kid, "use": "sig"}

    def token(self, *, headers: dict[str, Any] | None = None, leave_out: str = "", **claims: Any) -> str:
        """Sign a token; ``exp`` and ``nbf`` are seconds from now."""
        said = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": 600, "rasterflight_collections": ["ny"]} | claims
        for name in ("exp", "nbf"):
            if name in said:
                said[name] = time.time() + said[name]
        said.pop(leave_out, None)
        return jwt.encode(said, self.private, self.algorithm, headers={"kid": self.kid} | (headers or {}))


def key_set(*keys: Key) -> bytes:
    return json.dumps({"keys": [key.jwk for key in keys]}).encode()


class Provider:
    """What the server of the provider says, and how often it was asked."""

    def __init__(self, *keys: Key) -> None:
        self.content = key_set(*keys)
        self.status = 200
        self.pause = 0.0
        self.asked = 0
        self.url = ""


@contextmanager
def publishing(*keys: Key, certificate: Pair | None = None):
    """Publish keys on loopback, by https with a certificate; gives the ``Provider``."""
    provider = Provider(*keys)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            provider.asked += 1
            time.sleep(provider.pause)
            self.send_response(provider.status)
            self.send_header("content-length", str(len(provider.content)))
            self.end_headers()
            self.wfile.write(provider.content)

        def log_message(self, *args):
            pass

    server = WebServer(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.certificate, certificate.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    scheme = "http" if certificate is None else "https"
    provider.url = f"{scheme}://localhost:{server.server_port}/keys"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
