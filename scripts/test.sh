#!/bin/sh
# Runs the test suite on two workers.
set -eu
cd "$(dirname "$0")/.."
exec .venv/bin/python -m pytest -n 2 --dist worksteal "$@"
