#!/bin/sh
# Installs what the tests compare with and drive the server by: a PostgreSQL server, psql and pgbench.
# Does nothing where they are there already; without apt or the right to use it, says so and goes on:
# the tests that need them are then skipped by name.
set -eu
have_server() { ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1; }
if have_server && command -v psql >/dev/null 2>&1 && command -v pgbench >/dev/null 2>&1; then
  exit 0
fi
if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" != 0 ]; then
  echo "PostgreSQL is not installed (on Debian: apt-get install postgresql); tests that need it are skipped" >&2
  exit 0
fi
echo "installing PostgreSQL for the tests" >&2
# The package would start a server of its own, which nobody here wants.
mkdir -p /etc/postgresql-common
[ -e /etc/postgresql-common/createcluster.conf ] ||
  echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends postgresql postgresql-client >/dev/null
