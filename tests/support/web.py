"""A web server of the tests, on loopback, whose callers may go when they like."""

import sys
from http.server import ThreadingHTTPServer


class WebServer(ThreadingHTTPServer):
    """Says nothing of callers that hung up: its words would stand in the output of another test."""

    def handle_error(self, request, client_address) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)
