"""FreeBSD's jail commands as small Linux programs: the embedded default where there is no FreeBSD.

One module is one command (`jail`, `jls`, `jexec`, `mount`, …), built on a few small shared modules. They keep
the grammar, the output and the exit codes of FreeBSD's own commands as recorded on a FreeBSD 15.1 kernel, and
they fail where FreeBSD fails. They are no security boundary: see docs/reference/stand-ins.md.

Each run is a fresh interpreter, so start-up time is the price of every command. Modules here therefore import
little: no dataclasses, typing, json, re, enum, subprocess or socket, which would triple it.
"""
