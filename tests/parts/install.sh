#!/bin/sh
# Installs what the end-to-end tests and the bench need besides a compiler: two Kafka brokers, a JDK
# to run them, Python clients in a virtual environment, Toxiproxy.
#
#   sh tests/parts/install.sh          everything
#   sh tests/parts/install.sh where    print the cache directory and leave
#
# Everything but apt's packages goes into a cache outside the checkout, DRAWBRIDGE_TEST_CACHE
# (default ${XDG_CACHE_HOME:-$HOME/.cache}/drawbridge-tests):
#
#   kafka-VERSION/   jars of one broker
#   venv/            Python with tests/requirements.txt
#   toxiproxy/       server and cli; absent where no recent enough Go is to be had, and then the
#                    tests that need it are skipped
#
# Idempotent: what is there and unchanged is left alone. Asks no questions.
set -eu

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
. "$here/versions.env"
. "$here/packages.sh"

cache=${DRAWBRIDGE_TEST_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/drawbridge-tests}
if [ "${1:-}" = where ]; then
  echo "$cache"
  exit 0
fi
mkdir -p "$cache"

# fresh DIR TEXT: true when DIR was completed from the same input before.
fresh() { [ -f "$1/.complete" ] && [ "$(cat "$1/.complete")" = "$2" ]; }

sum() { cat "$@" | sha256sum | cut -d ' ' -f 1; }

# Three attempts, since a package registry may be briefly out of reach.
retry() {
  for pause in 2 10 0; do
    "$@" && return 0
    sleep "$pause"
  done
  return 1
}

# Kafka 4 wants Java 17 or newer.
java_17() {
  ls /usr/lib/jvm/java-17-openjdk-*/bin/java > /dev/null 2>&1 && return 0
  major=$(java -version 2>&1 | sed -n '1s/.*"\([0-9]*\).*/\1/p')
  [ "${major:-0}" -ge 17 ]
}

# Quiet unless it fails.
maven() {
  mvn -B -q -ntp -Dstyle.color=never "$@" < /dev/null > "$cache/maven.log" 2>&1 && return 0
  grep -v '^$' "$cache/maven.log" | head -n 20
  return 1
}

kafka() {
  version=$1
  dir=$cache/kafka-$version
  stamp="$version $SLF4J $(sum "$here/pom.xml")"
  fresh "$dir" "$stamp" && return 0
  command -v mvn > /dev/null 2>&1 || apt_install maven
  echo "fetching Kafka $version"
  rm -rf "$dir" "$dir.part"
  retry maven -f "$here/pom.xml" "-Dkafka.version=$version" "-Dslf4j.version=$SLF4J" \
    "org.apache.maven.plugins:maven-dependency-plugin:$MAVEN_DEPENDENCY_PLUGIN:copy-dependencies" \
    "-DoutputDirectory=$dir.part" -DincludeScope=runtime || {
    echo "error: Maven could not fetch Kafka $version" >&2
    return 1
  }
  echo "$stamp" > "$dir.part/.complete"
  mv "$dir.part" "$dir"
}

python_environment() {
  # Debian's own interpreter, which python3-venv belongs to, before any other on the path.
  python=/usr/bin/python3
  [ -x "$python" ] || python=python3
  dir=$cache/venv
  stamp="$("$python" --version 2>&1) $(sum "$here/../requirements.txt")"
  fresh "$dir" "$stamp" && return 0
  echo "creating the Python environment"
  rm -rf "$dir"
  "$python" -m venv "$dir"
  retry "$dir/bin/pip" install -q --no-input --disable-pip-version-check \
    -r "$here/../requirements.txt" || {
    echo "error: pip could not install tests/requirements.txt" >&2
    return 1
  }
  echo "$stamp" > "$dir/.complete"
}

# Never fails the installation: a machine without a recent Go loses the tests of slow links only.
toxiproxy() {
  dir=$cache/toxiproxy
  fresh "$dir" "$TOXIPROXY" && return 0
  command -v go > /dev/null 2>&1 || apt_install golang-go || true
  if ! command -v go > /dev/null 2>&1; then
    echo "note: no Go, so no Toxiproxy: tests that need it will be skipped"
    return 0
  fi
  echo "building Toxiproxy $TOXIPROXY"
  rm -rf "$dir"
  mkdir -p "$dir"
  for program in server cli; do
    # The first line of an error tells most: too old a Go names the version it wants.
    if ! GOBIN=$dir GOPATH=$cache/go GOFLAGS="${GOFLAGS:-} -modcacherw" \
      go install "github.com/Shopify/toxiproxy/v2/cmd/$program@v$TOXIPROXY" \
      > "$cache/toxiproxy.log" 2>&1; then
      echo "note: $(go version) cannot build Toxiproxy: tests that need it will be skipped"
      grep -v downloading "$cache/toxiproxy.log" | head -n 3
      rm -rf "$dir"
      return 0
    fi
  done
  rm -rf "$cache/go" "$cache/toxiproxy.log"
  echo "$TOXIPROXY" > "$dir/.complete"
}

java_17 || apt_install openjdk-17-jdk-headless
apt_install python3-venv openssl
kafka "$KAFKA_OLD"
kafka "$KAFKA_NEW"
python_environment
toxiproxy
