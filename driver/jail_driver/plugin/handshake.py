"""The first line: how a go-plugin host and this process recognise each other.

Sources: hashicorp/go-plugin server.go and client.go; plugins/base/plugin.go of Nomad for the cookie and the
application protocol.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from jail_driver import trees
from jail_driver.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

COOKIE_KEY = "NOMAD_PLUGIN_MAGIC_COOKIE"
COOKIE_VALUE = "e4327c2e01eabfd75a8a67adb114fb34a757d57eee7728d857a8cec6e91a7255"
CORE_PROTOCOL = 1
APP_PROTOCOL = 2

CLIENT_CERT_KEY = "PLUGIN_CLIENT_CERT"
MULTIPLEX_KEY = "PLUGIN_MULTIPLEX_GRPC"
SOCKET_DIR_KEY = "PLUGIN_UNIX_SOCKET_DIR"

SOCKET_NAME = "s"
FALLBACK_DIR = "/tmp"  # noqa: S108  # a private directory is made in it
LONGEST_SOCKET_PATH = 103
"""Bytes: FreeBSD's sun_path holds 104 with the final NUL (unix(4)); Linux has 108."""


def launched_by_nomad(environ: Mapping[str, str]) -> bool:
    """Tells whether the environment carries Nomad's cookie."""
    return environ.get(COOKIE_KEY) == COOKIE_VALUE


def check_environment(environ: Mapping[str, str]) -> None:
    """Refuses what this plugin cannot speak, before the host waits for a line that helps nobody.

    Raises:
        UnavailableError: no cookie, or a host that insists on TLS (Nomad does not).
    """
    if not launched_by_nomad(environ):
        raise UnavailableError(
            "this is a plugin that Nomad starts: put it into the agent's plugin_dir under the name jail-task-driver "
            "and name it in the agent's configuration, or try `jail-task-driver run JOB.nomad.hcl`"
        )
    if environ.get(CLIENT_CERT_KEY):
        raise UnavailableError(
            f"the host sent {CLIENT_CERT_KEY}: this plugin speaks plaintext gRPC over a private unix socket only"
        )


def make_socket_path(environ: Mapping[str, str]) -> str:
    """Makes a private directory for the plugin's socket and returns the socket's path in it.

    The directory is the host's choice, else the temporary directory; /tmp where those are too long for a
    socket's address. Mode 0700 keeps other users out whatever the umask is. To a Linux program on FreeBSD
    that directory may be the one of its own tree (linux(4): what exists there comes first); the path is then
    one by which an agent that is no Linux program finds it as well.

    Raises:
        UnavailableError: no directory could be made.
    """
    wanted = trees.known_to_all(environ.get(SOCKET_DIR_KEY) or environ.get("TMPDIR") or FALLBACK_DIR)
    name = f"jail-plugin-{os.urandom(8).hex()}"  # tempfile would cost a twentieth of the whole start
    fits = len(os.fsencode(f"{wanted}/{name}/{SOCKET_NAME}")) <= LONGEST_SOCKET_PATH
    parent = wanted if fits else trees.known_to_all(FALLBACK_DIR)
    directory = f"{parent}/{name}"
    try:
        os.mkdir(directory, mode=0o700)  # noqa: PTH102  # pathlib is not loaded yet
    except OSError as error:
        raise UnavailableError(
            f"no directory for the plugin's socket in {parent}: {error.strerror}"
        ) from error
    return f"{directory}/{SOCKET_NAME}"


def remove_socket(path: str) -> None:
    """Removes the socket and its directory; what is already gone is fine."""
    for remove, target in ((os.unlink, path), (os.rmdir, path.removesuffix(f"/{SOCKET_NAME}"))):
        try:
            remove(target)
        except OSError:
            continue


def grpc_target(socket_path: str) -> str:
    """Returns gRPC's name of a socket: a URI, in which three characters of a path would mean something."""
    return f"unix:{socket_path.replace('%', '%25').replace('?', '%3F').replace('#', '%23')}"


def handshake_line(socket_path: str, environ: Mapping[str, str]) -> str:
    """Returns the line that tells the host where to connect.

    The seventh field answers a host that asks for multiplexing: we have no use for it, and an older host
    would take the field for a part of the certificate.
    """
    line = f"{CORE_PROTOCOL}|{APP_PROTOCOL}|unix|{socket_path}|grpc|"
    return f"{line}|false\n" if environ.get(MULTIPLEX_KEY) else f"{line}\n"
