#!/bin/sh
# The crash sweep: the exhaustive model, the process sweep, 200 rounds of start, kill and stop seen from the
# host's tables, calls in any order, and, with `nomad` on PATH, 200 rounds of kills with an agent. Prints the
# figures of docs/explanation/guarantees.md. SWEEP_CRASHES, SWEEP_AGAIN, SWEEP_CYCLES, SWEEP_EXAMPLES and
# SWEEP_ROUNDS set its size.
set -eu
cd "$(dirname "$0")/.."
PYTHONPATH=tests .venv/bin/python tests/sweep/figures.py
SWEEP_EXAMPLES="${SWEEP_EXAMPLES:-20}" .venv/bin/python -m pytest -n 0 tests/recovery/test_any_order.py
if command -v nomad >/dev/null; then
    SWEEP_ROUNDS="${SWEEP_ROUNDS:-200}" .venv/bin/python -m pytest -n 0 -s tests/nomad/test_soak.py
else
    echo "no nomad on PATH: the rounds with a real agent are left out"
fi
