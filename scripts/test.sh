#!/bin/sh
# Runs the test suite on two workers. Tests whose needs are missing are skipped, each with its reason.
set -eu
cd "$(dirname "$0")/.."
if [ "$(uname -s)" = Linux ]; then
    for program in ip:iproute2 mount:mount unshare:util-linux nsenter:util-linux setpriv:util-linux; do
        if ! PATH="$PATH:/usr/sbin:/sbin" command -v "${program%%:*}" >/dev/null; then
            echo "jail-task-driver: '${program%%:*}' is missing, tests that use it are skipped:" \
                "'apt-get install ${program##*:}' (other systems have a package of that name, too)" >&2
        fi
    done
fi
# Debian keeps administrators' programs out of other users' PATH.
PATH="$PATH:/usr/sbin:/sbin"
export PATH
exec .venv/bin/python -m pytest -n 2 --dist worksteal "$@"
