#!/bin/sh
# Runs the document's http-echo task on this machine: on FreeBSD's jails, or on the Linux stand-ins.
set -eu
cd "$(dirname "$0")/.."
exec .venv/bin/python -I -m jail_driver.cli.demo docs/examples/http-echo.nomad.hcl --fetch http://127.0.0.1:9999/ "$@"
