"""The document's ``http-echo``: answers every request with one text. Needs nothing but the standard library.

``make run`` puts this file into the demo root as ``/usr/local/bin/http-echo``. It takes the options of
HashiCorp's http-echo that the document uses: ``-listen`` and ``-text``.
"""

from __future__ import annotations

import argparse
import signal
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_SECONDS_TO_SEND = 10.0


def handler(text: str) -> type[BaseHTTPRequestHandler]:
    """Returns the handler that answers GET and HEAD with ``text`` and a newline."""
    body = f"{text}\n".encode()

    class Echo(BaseHTTPRequestHandler):
        timeout = _SECONDS_TO_SEND
        server_version = "http-echo"
        sys_version = ""

        def do_GET(self) -> None:
            """Answers with the text."""
            self.do_HEAD()
            self.wfile.write(body)

        def do_HEAD(self) -> None:
            """Answers without a body."""
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()

        def log_message(  # type: ignore[explicit-override]  # typing.override is Python 3.12's
            self,
            format: str,  # noqa: A002  # the base class's name
            *args: Any,
        ) -> None:
            """Writes one line per request to stdout, where Nomad's log collection reads it."""
            sys.stdout.write(f"{self.address_string()} {format % args}\n")
            sys.stdout.flush()

    return Echo


def address(listen: str) -> tuple[str, int]:
    """Splits ``host:port``, ``[host]:port`` or ``:port``.

    Raises:
        argparse.ArgumentTypeError: no port.

    >>> address(":9999"), address("[fd00::6]:80")
    (('', 9999), ('fd00::6', 80))
    """
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal():
        raise argparse.ArgumentTypeError(f"{listen!r} is not HOST:PORT or :PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


class Server(ThreadingHTTPServer):
    """Listens on an address of either family."""

    def __init__(self, place: tuple[str, int], text: str) -> None:
        self.address_family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
        super().__init__(place, handler(text))


def main() -> int:
    """Serves until SIGTERM or SIGINT; the exit status is 0 then."""
    parser = argparse.ArgumentParser(prog="http-echo", description=__doc__)
    parser.add_argument("-listen", type=address, default=("", 5678), metavar="HOST:PORT")
    parser.add_argument("-text", required=True)
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    host, port = options.listen
    with Server((host, port), options.text) as server:
        shown = f"[{host}]" if ":" in host else host
        sys.stdout.write(f"http-echo: listening on {shown}:{port}\n")
        sys.stdout.flush()
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
