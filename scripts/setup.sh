#!/bin/sh
# Makes .venv with the pinned dependencies and the project itself; a second call with nothing changed
# is a few milliseconds.
set -eu
cd "$(dirname "$0")/.."

# The interpreter: 3.11 or newer, whatever the system calls it. JTD_PYTHON names one by hand.
find_python() {
    for name in ${JTD_PYTHON:-} python3.11 python3.12 python3.13 python3.14 python3; do
        if command -v "$name" >/dev/null 2>&1 &&
            "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return 0
        fi
    done
    echo "jail-task-driver needs Python 3.11 or newer: 'apt-get install python3 python3-venv' or 'pkg install python311'" >&2
    return 1
}

want=$(cat pyproject.toml requirements/dev.txt scripts/setup.sh | cksum)
if [ -x .venv/bin/python ] && [ "$(cat .venv/.jtd-setup 2>/dev/null)" = "$want" ]; then
    exit 0
fi
python=$(find_python)
echo "setting up .venv with $python" >&2
if ! "$python" -m venv .venv; then
    rm -rf .venv
    echo "cannot make .venv: 'apt-get install python3-venv' (Debian) brings what is missing" >&2
    exit 1
fi
.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/dev.txt
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
echo "$want" >.venv/.jtd-setup
