#!/bin/sh
# Installs the browser in which tests/integration/test_console.py opens the console: Debian's Chromium.
# And what is in console/package-lock.json, where there is npm: axe-core looks at the pages.
# Does nothing where they are there; without apt or the right to use it, says so and goes on: the tests are
# then skipped by name.
set -eu
if command -v npm >/dev/null 2>&1 && [ ! -e console/node_modules ]; then
  npm ci --ignore-scripts --silent --no-audit --no-fund --prefix console >/dev/null ||
    echo "cannot install the packages of console" >&2
fi
for name in chromium chromium-browser google-chrome; do
  if command -v "$name" >/dev/null 2>&1; then exit 0; fi
done
if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" != 0 ]; then
  echo "no Chromium (on Debian: apt-get install chromium); the tests of the console are skipped" >&2
  exit 0
fi
echo "installing Chromium for the tests" >&2
export DEBIAN_FRONTEND=noninteractive
{ apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } >/dev/null ||
  echo "cannot install chromium" >&2
