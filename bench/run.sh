#!/bin/sh
# Measures the bridge against its client library on a real broker, on this machine, in one run, and
# holds the figures to the bars that bench/README.md states.
#
#   sh bench/run.sh [--quick] [SECTION...]
#
# Installs and builds what it needs first. Sections and settings: bench/README.md. The report goes
# to standard output, progress to standard error.
set -eu
cd "$(dirname -- "$0")/.."

sh tests/parts/install.sh >&2
build=${BENCH_BUILD:-build/release}
if [ ! -f "$build/CMakeCache.txt" ] || [ -z "${BENCH_BUILD:-}" ]; then
  sh config/quickstart.sh packages >&2
  cmake --preset release -B "$build" -DDRAWBRIDGE_BENCH=ON >&2
fi
cmake --build "$build" --target bench_programs >&2

cache=$(sh tests/parts/install.sh where)
export PYTHONDONTWRITEBYTECODE=1 BENCH_BUILD="$build"
exec "$cache/venv/bin/python" bench/run.py "$@"
