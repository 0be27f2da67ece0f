#!/bin/sh
# From a bare Debian 12 to the demo: installs the packages that the build needs, builds the release,
# runs `drawbridge demo`. As root or with sudo; asks nothing; a second run only builds what changed.
#
#   sh config/quickstart.sh              packages, build, demo
#   sh config/quickstart.sh packages     the packages alone
#   sh config/quickstart.sh demo         build and demo, where the packages are there
set -eu
cd "$(dirname -- "$0")/.."

# Each with its reason in README.md; all are Debian 12's own.
packages="g++ cmake ninja-build ccache pkg-config
  librdkafka-dev liblmdb-dev libyaml-cpp-dev libre2-dev libfmt-dev libssl-dev
  libboost-program-options-dev libxxhash-dev libexpected-dev libsystemd-dev nlohmann-json3-dev
  libjemalloc-dev"

if [ "${1:-}" != demo ]; then
  . tests/parts/packages.sh
  apt_install $packages
fi
[ "${1:-}" != packages ] || exit 0

# The program alone: tests and bench need more packages. A build folder that is there keeps its
# settings, since tests/run.sh uses the same one.
if [ -f build/release/CMakeCache.txt ]; then
  cmake --preset release > /dev/null
else
  cmake --preset release -DDRAWBRIDGE_TESTS=OFF -DDRAWBRIDGE_BENCH=OFF > /dev/null
fi
cmake --build build/release --target drawbridge

exec build/release/bin/drawbridge demo
