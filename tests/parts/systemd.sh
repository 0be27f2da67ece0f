#!/bin/sh
# Holds systemd/ to what it promises, offline: no running systemd, no installed program needed.
#
#   sh tests/parts/systemd.sh syntax|exposure|sysusers|tmpfiles
set -eu
cd "$(dirname -- "$0")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# An unknown key or section is only a warning to systemd-analyze: anything it says about the unit
# fails the test.
syntax() {
  # A template is verified as an instance; the program is not installed where tests run.
  sed 's|^ExecStart=/usr/bin/drawbridge |ExecStart=/bin/true |' systemd/drawbridge@.service \
    > "$work/drawbridge@.service"
  ln -s "drawbridge@.service" "$work/drawbridge@test.service"
  verify "$work/drawbridge@test.service" || return 1
  # The same command must notice a mistake.
  sed 's/^WatchdogSec=/WatchdgoSec=/' "$work/drawbridge@.service" > "$work/broken@.service"
  ln -s "broken@.service" "$work/broken@test.service"
  if verify "$work/broken@test.service" > /dev/null 2>&1; then
    echo "the check does not notice a misspelt key" >&2
    return 1
  fi
}

verify() {
  systemd-analyze verify --man=no "$1" > "$work/said" 2>&1 || {
    cat "$work/said"
    return 1
  }
  if grep -E 'drawbridge@|broken@' "$work/said"; then
    return 1
  fi
}

# 20 is systemd's way to write an exposure of 2.0.
exposure() {
  cp systemd/drawbridge@.service "$work/"
  systemd-analyze security --no-pager --offline=true --threshold=20 "$work/drawbridge@.service" \
    > "$work/said" 2>&1 || {
    cat "$work/said"
    return 1
  }
  tail -n 1 "$work/said"
}

sysusers() {
  systemd-sysusers --dry-run "$PWD/systemd/drawbridge.sysusers.conf" > "$work/said" 2>&1 || {
    cat "$work/said"
    return 1
  }
  ! grep -i -E 'ignoring|invalid|unknown|missing' "$work/said"
}

# Runs it for good, below a scratch root.
tmpfiles() {
  mkdir -p "$work/root/etc"
  echo "root:x:$(id -u):$(id -g)::/root:/bin/sh" > "$work/root/etc/passwd"
  echo "drawbridge:x:$(id -u):$(id -g)::/var/lib/drawbridge:/bin/false" >> "$work/root/etc/passwd"
  printf 'root:x:%s:\ndrawbridge:x:%s:\n' "$(id -g)" "$(id -g)" > "$work/root/etc/group"
  systemd-tmpfiles --root="$work/root" --create "$PWD/systemd/drawbridge.tmpfiles.conf" || return 1
  [ "$(stat -c %a "$work/root/etc/drawbridge")" = 750 ] &&
    [ "$(stat -c %a "$work/root/etc/drawbridge/credentials")" = 700 ]
}

"$1"
