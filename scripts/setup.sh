#!/bin/sh
# Makes .venv with the pinned dependencies and the project itself; a second call with nothing changed
# is a few milliseconds.
set -eu
cd "$(dirname "$0")/.."

# The interpreter: 3.11 or newer, whatever the system calls it. JTD_PYTHON names one by hand.
find_python() {
    for name in ${JTD_PYTHON:-} python3.14 python3.13 python3.12 python3.11 python3; do
        if command -v "$name" >/dev/null 2>&1 &&
            "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return 0
        fi
    done
    return 1
}

# How this system installs a package: $1 as Debian calls it, $2 as Fedora, $3 as Alpine, $4 as FreeBSD.
install_command() {
    if command -v apt-get >/dev/null 2>&1; then
        echo "apt-get install $1"
    elif command -v dnf >/dev/null 2>&1; then
        echo "dnf install $2"
    elif command -v apk >/dev/null 2>&1; then
        echo "apk add $3"
    else
        echo "pkg install $4"
    fi
}

say() {
    echo "jail-task-driver: $*" >&2
}

# The path counts, because the programs in .venv name it: a clone that was moved is set up anew.
want=$({ pwd && cat pyproject.toml requirements/dev.txt; } | cksum)
if [ -x .venv/bin/python ] && [ "$(cat .venv/.jtd-setup 2>/dev/null)" = "$want" ]; then
    exit 0
fi
if ! python=$(find_python); then
    say "needs Python 3.11 or newer: '$(install_command python3 python3 python3 python311)'; JTD_PYTHON=/path names one"
    exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    say "$python cannot make virtual environments: '$(install_command python3-venv python3 python3 python311)'"
    exit 1
fi
say "setting up .venv with $python (once; about a minute)"
if [ "$(cat .venv/.jtd-place 2>/dev/null)" != "$(pwd)" ] || ! .venv/bin/python -c '' 2>/dev/null; then
    "$python" -m venv --clear .venv
    pwd >.venv/.jtd-place
fi
pip() {
    .venv/bin/python -m pip --quiet --disable-pip-version-check --no-input "$@"
}
if ! pip install -r requirements/dev.txt; then
    say "the packages of requirements/dev.txt could not be installed: pip's words are above (PIP_INDEX_URL names a mirror)"
    exit 1
fi
pip install --no-deps --no-build-isolation -e .
echo "$want" >.venv/.jtd-setup
