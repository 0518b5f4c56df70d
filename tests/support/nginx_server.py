"""A real web server on the loopback: nginx, by HTTP and HTTPS, with folders for anybody, by password and by token.

It is a package of every distribution of Linux; a test that needs it is skipped where it is not installed.
"""

import os
import shutil
import socket
from pathlib import Path

import pytest

from support.certificates import Authority
from support.process import Process
from support.s3_server import free_ports

USER, PASSWORD = "reader", "password-of-reader"
_CONF = """
{user}
daemon off;
worker_processes 1;
pid {root}/pid;
error_log {root}/error.log;
events {{ }}
http {{
    client_body_temp_path {root}/t1; proxy_temp_path {root}/t2; fastcgi_temp_path {root}/t3;
    uwsgi_temp_path {root}/t4; scgi_temp_path {root}/t5;
    log_format short '$request_method $status $http_range $uri';
    access_log {root}/access.log short;
    server {{
        listen 127.0.0.1:{http};
        listen 127.0.0.1:{https} ssl;
        ssl_certificate {root}/server.pem;
        ssl_certificate_key {root}/server.key;
        root {root}/files;
        location /login/ {{ auth_basic "files"; auth_basic_user_file {root}/users; }}
        location /token/ {{ if (!-f "{root}/tokens/$http_authorization") {{ return 401; }} }}
        location /away/ {{ return 302 $arg_to; }}
    }}
}}
"""


class NginxServer(Process):
    """Starts the server; a context manager.

    Parameters
    ----------
    root
        An empty folder for all that it writes; files are served from "files", "files/login" and "files/token" in it.
    """

    def __init__(self, root: Path) -> None:
        program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
        if program is None:
            pytest.skip("nginx is not installed: web servers other than the tests' own are NOT TESTED")
        for folder in ("login", "token"):
            (root / "files" / folder).mkdir(parents=True)
        self._root, self.files = root, root / "files"
        authority = Authority(root)
        authority.issue("server", "127.0.0.1")
        self.authority = authority.root
        http, https = free_ports(2)
        # Folders of tests are open to the user alone that runs them.
        user = "user root;" if os.geteuid() == 0 else ""
        self.http, self.https = f"http://127.0.0.1:{http}", f"https://127.0.0.1:{https}"
        (root / "tokens").mkdir()
        (root / "users").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
        (root / "nginx.conf").write_text(_CONF.format(root=root, http=http, https=https, user=user))
        super().__init__(
            [program, "-p", root, "-c", root / "nginx.conf", "-e", root / "error.log"], root, self._answers
        )

    def _answers(self, _log: str) -> bool:
        try:
            socket.create_connection(("127.0.0.1", int(self.https.rpartition(":")[2])), timeout=1).close()
        except OSError:
            return False
        return True

    def gets(self, start: str) -> list[str]:
        """Ranges of the GET requests for files below a path that were answered so far."""
        words = [line.split(maxsplit=3) for line in (self._root / "access.log").read_text().splitlines()]
        return sorted(said[2] for said in words if said[:2] == ["GET", "206"] and said[3].startswith(start))

    def allow(self, token: str) -> None:
        """Let a token in."""
        (self._root / "tokens" / f"Bearer {token}").touch()

    def forbid(self, token: str) -> None:
        """Let a token in no more."""
        (self._root / "tokens" / f"Bearer {token}").unlink()
