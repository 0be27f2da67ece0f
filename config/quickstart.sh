#!/bin/sh
# From a bare Debian 12 to the demo: installs the packages that the build needs, builds the release,
# runs `drawbridge demo`. As root or with sudo; asks nothing; a second run only builds what changed.
#
#   sh config/quickstart.sh              packages, build, demo
#   sh config/quickstart.sh packages     the packages alone
#   sh config/quickstart.sh build        packages and build
set -eu
cd "$(dirname -- "$0")/.."

# Each with its reason in README.md. nlohmann-json3-dev and the rest are Debian 12's own versions.
packages="g++ cmake ninja-build ccache pkg-config
  librdkafka-dev liblmdb-dev libyaml-cpp-dev libre2-dev libfmt-dev libssl-dev
  libboost-program-options-dev libxxhash-dev libexpected-dev libsystemd-dev nlohmann-json3-dev"

. tests/parts/packages.sh
apt_install $packages
[ "${1:-}" != packages ] || exit 0

# Tests and bench are left out: half the build, and nothing of it is in the program. Its folder is
# the one that tests/run.sh uses, whose own configuration turns both on again.
cmake --preset release -DDRAWBRIDGE_TESTS=OFF -DDRAWBRIDGE_BENCH=OFF > /dev/null
cmake --build build/release --target drawbridge
[ "${1:-}" != build ] || exit 0

exec build/release/bin/drawbridge demo
