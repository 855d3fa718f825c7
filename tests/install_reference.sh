#!/bin/sh
# Installs what the tests compare with and drive the server by: a PostgreSQL server, psql and pgbench.
# Besides ip, by which a test lays a cable between two hosts; without it that uses the loopback interface.
# And what tests/drivers/node needs, where there is npm.
# Does nothing where they are there already; without apt or the right to use it, says so and goes on:
# the tests that need them are then skipped by name.
set -eu
have_apt() { command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; }
export DEBIAN_FRONTEND=noninteractive
if ! command -v ip >/dev/null 2>&1 && have_apt; then
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends iproute2; } >/dev/null ||
    echo "cannot install iproute2" >&2
fi
if command -v npm >/dev/null 2>&1 && [ ! -e tests/drivers/node/node_modules ]; then
  npm ci --silent --no-audit --no-fund --prefix tests/drivers/node >/dev/null ||
    echo "cannot install the packages of tests/drivers/node" >&2
fi
have_server() { ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1; }
if have_server && command -v psql >/dev/null 2>&1 && command -v pgbench >/dev/null 2>&1; then
  exit 0
fi
if ! have_apt; then
  echo "PostgreSQL is not installed (on Debian: apt-get install postgresql); tests that need it are skipped" >&2
  exit 0
fi
echo "installing PostgreSQL for the tests" >&2
# The package would start a server of its own, which nobody here wants.
mkdir -p /etc/postgresql-common
[ -e /etc/postgresql-common/createcluster.conf ] ||
  echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf
apt-get update -qq
apt-get install -y -qq --no-install-recommends postgresql postgresql-client >/dev/null
