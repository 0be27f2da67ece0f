#!/bin/sh
# Every test of the project, from a bare Debian 12: installs what they need, builds, runs, and closes
# with one line of counts. As root or with sudo; asks nothing; a second run is incremental.
#
#   sh tests/run.sh                  everything (the stages below, in this order)
#   sh tests/run.sh STAGE...         only these:
#     unit     release build with warnings as errors, unit tests in C++ and Python
#     lint     clang-format, clang-tidy
#     systemd  the unit template: syntax, exposure, users and folders
#     e2e      real Kafka brokers, with clients that are not the bridge's own
#     fault    faults from a seed against a live bridge and a cluster, then both sides compared
#     asan     unit and engine tests under AddressSanitizer and UBSan
#     tsan     the same under ThreadSanitizer
#     fuzz     every fuzz target for FUZZ_SECONDS (10), under sanitizers
#
# E2E_ARGS is handed to pytest (E2E_ARGS="-k fidelity -x"), FAULT_ARGS to the fault lab
# (FAULT_ARGS="--seed 7"). Exit status: 0 when nothing failed.
set -u
cd "$(dirname -- "$0")/.."

stages="unit lint systemd e2e fault asan tsan fuzz"
for stage in "$@"; do
  case " $stages " in
    *" $stage "*) ;;
    *)
      echo "usage: sh tests/run.sh [$stages]" >&2
      exit 2
      ;;
  esac
done
[ $# -gt 0 ] || set -- $stages
asked=$*
ahead=

passed=0
failed=0
skipped=0
failures=
jobs=$(nproc 2> /dev/null || echo 2)
results=build/test-results
python=python3
lowly=
# The checkout may belong to another user than root.
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=*
export PYTHONDONTWRITEBYTECODE=1
# What was compiled in one checkout serves another.
export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1

. tests/parts/packages.sh

say() { printf '\n== %s\n' "$*"; }

# tally NAME PASSED FAILED SKIPPED: adds one stage's counts.
tally() {
  passed=$((passed + $2))
  failed=$((failed + $3))
  skipped=$((skipped + $4))
  [ "$3" -eq 0 ] || failures="$failures $1"
}

# check NAME COMMAND...: a test that is one command.
check() {
  name=$1
  shift
  if "$@"; then
    echo "ok      $name"
    tally "$name" 1 0 0
  else
    echo "FAILED  $name"
    tally "$name" 0 1 0
  fi
}

skip() {
  echo "skipped $1: $2"
  tally "$1" 0 0 1
}

# The one exit: the counts stand alone on the last line.
finish() {
  say "finished in $(($(date +%s) - started)) s"
  [ -z "$failures" ] || echo "failed:$failures"
  echo "$passed passed, $failed failed, $skipped skipped"
  [ "$failed" -eq 0 ]
  exit
}

# lose NAME MESSAGE: a stage that could not run counts as one failure.
lose() {
  echo "error: $2" >&2
  tally "$1" 0 1 0
}

# give_up NAME MESSAGE: the same, where nothing after it could run either.
give_up() {
  lose "$@"
  finish
}

# tally_files NAME STATUS [--ctest FILE] FILE...: counts from JUnit files. A runner that failed
# without a failed test in its files (it died, or found none) counts as one failure.
tally_files() {
  name=$1
  status=$2
  shift 2
  counts=$("$python" tests/parts/count.py "$@") || counts="0 1 0"
  set -- $counts
  if [ "$status" -ne 0 ] && [ "$2" -eq 0 ]; then
    set -- "$1" 1 "$3"
  fi
  echo "$name: $1 passed, $2 failed, $3 skipped"
  tally "$name" "$1" "$2" "$3"
}

# --- Packages ---------------------------------------------------------------------------------

install_build() {
  sh config/quickstart.sh packages || give_up install "cannot install the build's packages"
  apt_install libgtest-dev libgmock-dev python3-minimal ||
    give_up install "cannot install the tests' packages"
}

install_clang() {
  apt_install clang-14 clang-format-14 clang-tidy-14 libclang-rt-14-dev ||
    give_up install "cannot install clang"
}

install_parts() {
  [ "$python" = python3 ] || return 0
  sh tests/parts/install.sh || give_up install "cannot install brokers and Python clients"
  python=$(sh tests/parts/install.sh where)/venv/bin/python
}

# --- Builds -----------------------------------------------------------------------------------

# configure PRESET [OPTION...]; build PRESET [TARGET...]
configure() {
  preset=$1
  shift
  $lowly cmake --preset "$preset" "$@" > "$results/$preset-configure.log" 2>&1 && return 0
  cat "$results/$preset-configure.log"
  return 1
}

build() {
  preset=$1
  shift
  [ $# -eq 0 ] || set -- --target "$@"
  $lowly cmake --build "build/$preset" -j "$jobs" "$@" > "$results/$preset-build.log" 2>&1 && return 0
  # The compiler's own words, without ninja's progress.
  grep -v '^\[[0-9]*/[0-9]*\] \(Building\|Linking\|Creating\)' "$results/$preset-build.log" |
    head -n 200
  return 1
}

built_release=
release() {
  [ -z "$built_release" ] || return 0
  say "release build"
  install_build
  began=$(date +%s)
  configure release -DDRAWBRIDGE_WERROR=ON -DDRAWBRIDGE_TESTS=ON -DDRAWBRIDGE_BENCH=ON &&
    build release || give_up release-build "the release build failed"
  echo "built in $(($(date +%s) - began)) s"
  built_release=yes
}

# Names of the unit test programs: one a folder of tests/unit that holds *_test.cc.
unit_targets() {
  for source in tests/unit/*/*_test.cc; do
    [ -e "$source" ] && basename "$(dirname "$source")"
  done | sort -u | sed 's/$/_test/'
}

# unit_programs PRESET [SECONDS [ROOMS]]: runs the unit test programs of one build and counts their
# cases. ROOMS is a regular expression of folders of tests/unit.
unit_programs() {
  preset=$1
  output=$PWD/$results/$preset
  rm -rf "$output"
  mkdir -p "$output/cases"
  runner=
  # ThreadSanitizer of gcc 12 cannot map its shadow where the kernel randomises 32 bits.
  if [ "$preset" = tsan ] && setarch "$(uname -m)" -R true 2> /dev/null; then
    runner="setarch $(uname -m) -R"
  fi
  ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1 \
    UBSAN_OPTIONS=print_stacktrace=1 \
    TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1 \
    GTEST_OUTPUT="xml:$output/cases/" \
    $runner ctest --test-dir "build/$preset" -L unit -R "^(${3:-.*})\$" -j "$jobs" --timeout "${2:-300}" \
    --output-on-failure --no-tests=error --output-junit "$output/ctest.xml"
  tally_files "unit-$preset" $? --ctest "$output/ctest.xml" "$output/cases"
}

# --- Stages -----------------------------------------------------------------------------------

stage_unit() {
  release
  install_parts
  say "unit tests"
  unit_programs release
  DRAWBRIDGE_BINARY=$PWD/build/release/bin/drawbridge \
    "$python" -m pytest -q -p no:cacheprovider --junitxml "$results/python.xml" tests/unit
  tally_files unit-python $? "$results/python.xml"
}

sources() {
  if git rev-parse --is-inside-work-tree > /dev/null 2>&1; then
    git ls-files --cached --others --exclude-standard -- '*.cc' '*.h' | while read -r file; do
      [ -e "$file" ] && echo "$file"
    done
  else
    find bridge transforms config tests bench -name '*.cc' -o -name '*.h'
  fi
}

format_holds() {
  sources | xargs -r clang-format-14 --dry-run -Werror 2> "$results/format.log" && return 0
  sed -n 's/^\([^:]*\):[0-9]*:.*/\1/p' "$results/format.log" | sort | uniq -c
  echo "mend with: clang-format-14 -i FILE..."
  return 1
}

# Only what ships: tests are held by the sanitizers. The compiler's own warnings are gcc's business.
tidy_holds() {
  began=$(date +%s)
  run-clang-tidy-14 -quiet -p build/release -j "$jobs" \
    -extra-arg=-Wno-everything "^$PWD/(bridge|config|transforms)/" > "$results/tidy.log" 2>&1
  status=$?
  echo "clang-tidy took $(($(date +%s) - began)) s"
  [ $status -eq 0 ] && return 0
  grep -E '(error|warning):' "$results/tidy.log" | sort -u | head -n 100
  return 1
}

stage_lint() {
  release
  install_clang
  say "lint"
  check clang-format format_holds
  check clang-tidy tidy_holds
}

stage_systemd() {
  say "systemd unit"
  if ! command -v systemd-analyze > /dev/null 2>&1; then
    skip systemd "no systemd-analyze here"
    return
  fi
  check systemd-syntax sh tests/parts/systemd.sh syntax
  check systemd-exposure sh tests/parts/systemd.sh exposure
  check systemd-sysusers sh tests/parts/systemd.sh sysusers
  check systemd-tmpfiles sh tests/parts/systemd.sh tmpfiles
}

# Two at a time, each with brokers of its own: the stories mostly wait, for sessions and restarts.
stage_e2e() {
  release
  install_parts
  build_ahead
  say "end to end"
  rm -f "$results"/e2e-*
  e2e_half 0 20000-25999 &
  half=$!
  e2e_half 1 26000-31999
  status=$?
  wait "$half" || status=$?
  cat "$results/e2e-0.log" "$results/e2e-1.log"
  tally_files e2e "$status" "$results/e2e-0.xml" "$results/e2e-1.xml"
}

# e2e_half N PORTS: every second file.
e2e_half() {
  set -- "$1" "$2" $(find tests/e2e -name '*_test.py' | sort | awk -v half="$1" 'NR % 2 == half')
  half_number=$1 ports=$2
  shift 2
  DRAWBRIDGE_BINARY=$PWD/build/release/bin/drawbridge DRAWBRIDGE_TEST_PORTS=$ports \
    "$python" -m pytest -p no:cacheprovider --junitxml "$results/e2e-$half_number.xml" \
    --durations=10 "$@" ${E2E_ARGS:-} > "$results/e2e-$half_number.log" 2>&1
  half_status=$?
  # E2E_ARGS may leave nothing of a half.
  [ "$half_status" -ne 5 ] || return 0
  return "$half_status"
}

stage_fault() {
  release
  install_parts
  apt_install iptables iproute2 || echo "note: no iptables: faults of packets will be skipped"
  say "fault lab"
  "$python" -m pytest -q -p no:cacheprovider --junitxml "$results/fault-parts.xml" tests/fault
  tally_files fault-parts $? "$results/fault-parts.xml"
  rm -f "$results/fault.xml"
  "$python" tests/fault/run.py --short --junit "$results/fault.xml" \
    --binary build/release/bin/drawbridge ${FAULT_ARGS:-}
  tally_files fault $? "$results/fault.xml"
}

# The command line's programs are run by the e2e stage; threads meet in these rooms only.
asan_rooms='base|record|envelope|keys|transform|transforms|checkpoint|pipeline|kafka|config'
tsan_rooms='base|keys|checkpoint|pipeline|kafka'

# build_sanitized PRESET ROOMS: the unit test programs alone, every one of the project's sources
# instrumented.
build_sanitized() {
  configure "$1" -DDRAWBRIDGE_BENCH=OFF && build "$1" $(unit_targets | grep -E "^($2)_test\$")
}

# In the background and at the lowest priority, while stages run that mostly wait.
build_ahead() {
  [ -z "$ahead" ] || return 0
  (
    lowly="nice -n 19"
    jobs=1
    case " $asked " in *" asan "*) build_sanitized asan "$asan_rooms" ;; esac
    case " $asked " in *" tsan "*) build_sanitized tsan "$tsan_rooms" ;; esac
  ) > /dev/null 2>&1 &
  ahead=$!
}

# sanitized PRESET ROOMS: the simulation runs a tenth as often as in the release build.
sanitized() {
  say "unit and engine tests under $1"
  install_build
  [ -z "$ahead" ] || wait "$ahead"
  if build_sanitized "$1" "$2"; then
    export DRAWBRIDGE_SIM_RUNS="${DRAWBRIDGE_SIM_RUNS:-1000}"
    unit_programs "$1" 900 "$2"
  else
    lose "$1-build" "the $1 build failed"
  fi
}

stage_asan() { sanitized asan "$asan_rooms"; }
stage_tsan() { sanitized tsan "$tsan_rooms"; }

fuzz_one() {
  name=$1
  mkdir -p "$results/fuzz/$name"
  seeds=tests/fuzz/corpus/$name
  [ -d "$seeds" ] || seeds=
  # New inputs land in the results folder; committed seeds are only read.
  build/fuzz/bin/"$name" -max_total_time="${FUZZ_SECONDS:-10}" -timeout=10 -rss_limit_mb=2048 \
    -artifact_prefix="$results/fuzz/$name-" "$results/fuzz/$name" $seeds \
    > "$results/fuzz/$name.log" 2>&1
  echo $? > "$results/fuzz/$name.status"
}

fuzz_holds() {
  [ "$(cat "$results/fuzz/$1.status")" = 0 ] && return 0
  grep -v '^#[0-9]*.*cov:' "$results/fuzz/$1.log" | tail -n 60
  return 1
}

stage_fuzz() {
  say "fuzz targets"
  install_build
  install_clang
  targets=$(for source in tests/fuzz/*_fuzz.cc; do
    [ -e "$source" ] && basename "$source" .cc
  done)
  if [ -z "$targets" ]; then
    lose fuzz "no fuzz targets in tests/fuzz"
    return
  fi
  if ! { configure fuzz -DDRAWBRIDGE_BENCH=OFF && build fuzz $targets; }; then
    lose fuzz-build "the fuzz build failed"
    return
  fi
  rm -rf "$results/fuzz"
  running=0
  for name in $targets; do
    fuzz_one "$name" &
    running=$((running + 1))
    [ $((running % jobs)) -ne 0 ] || wait
  done
  wait
  for name in $targets; do
    check "fuzz-$name" fuzz_holds "$name"
  done
}

started=$(date +%s)
mkdir -p "$results"
for stage in "$@"; do
  "stage_$stage"
done
finish
