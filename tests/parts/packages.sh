# Sourced, not run: install Debian packages that are missing, as root or with sudo.
#
#   apt_install PACKAGE...   returns non-zero when apt could not install them
#
# Asks nothing, and touches neither apt nor the network when everything is there already, so that a
# second run works offline.

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo > /dev/null 2>&1; then
    sudo "$@"
  else
    echo "error: '$*' needs root: run as root or install sudo" >&2
    return 1
  fi
}

# Prints those of the packages that are not installed.
missing_packages() {
  for package in "$@"; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null) || status=
    [ "$status" = installed ] || echo "$package"
  done
}

apt_install() {
  wanted=$(missing_packages "$@")
  [ -n "$wanted" ] || return 0
  if ! command -v apt-get > /dev/null 2>&1; then
    echo "error: no apt-get here; install the counterparts of:" $wanted >&2
    return 1
  fi
  echo "installing:" $wanted
  # A stale package index is the usual reason for a failure: refresh it, then install.
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y update < /dev/null > /dev/null || true
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
    -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
    install --no-install-recommends $wanted < /dev/null > /dev/null
}
