# Every target makes the environment it needs; see README.md.
#
# python3, unless it was built without profile-guided optimization (pyenv's usually is) while the system's
# python3 would do: that makes a quarter of the throughput. Another one: make setup PYTHON=python3.12
SUITABLE := import ensurepip, sys, sysconfig, venv; \
  options = sysconfig.get_config_var("CONFIG_ARGS") or ""; \
  optimized = "--enable-optimizations" in options or sys.base_prefix == "/usr"; \
  sys.exit(sys.version_info < (3, 11) or not optimized)
PYTHON ?= $(shell for python in python3 /usr/bin/python3; do \
  $$python -c '$(SUITABLE)' 2>/dev/null && echo $$python && exit; done; echo python3)
# make up COMPILED=1, and likewise test, bench, ...: with compiled modules (docs/PERFORMANCE.md), in an environment
# of its own, which is made anew when a source has changed.
export COMPILED
VENV := $(if $(COMPILED),.compiled,.venv)
BIN := $(VENV)/bin
PACKAGES := dsql relay placement journal adjudicator storage control_plane
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock

.PHONY: setup compiled up test console soak bench attacks chaos-load regression compatibility lint dist docs clean
setup: $(VENV)/.server $(VENV)/.test $(VENV)/.lint $(VENV)/.bench

.venv/.server: pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	touch $@

.venv/.test .venv/.lint .venv/.bench .venv/.dist .venv/.docs: .venv/.%: .venv/.server
	$(PIP) -e '.[$*]'
	touch $@

# Needs a C compiler, Python's headers and some minutes; then .compiled/bin/dsql runs from anywhere.
compiled:
	$(MAKE) --no-print-directory COMPILED=1 .compiled/.server

WHEEL := .compiled/wheel
SOURCES := $(if $(COMPILED),setup.py $(shell find $(PACKAGES) -name '*.py' -o -name '*.tsv'))

.compiled/.server: pyproject.toml requirements.lock $(SOURCES)
	rm -rf build $(WHEEL) # setuptools would put what lies there into the wheel
	$(PYTHON) -m venv .compiled
	DSQL_COMPILED=1 PIP_CONSTRAINT=requirements.lock $(BIN)/python -m pip --quiet wheel --no-deps --wheel-dir $(WHEEL) .
	$(PIP) --force-reinstall --no-deps $(WHEEL)/*.whl
	$(PIP) $(WHEEL)/*.whl
	touch $@

.compiled/.test .compiled/.lint .compiled/.bench: .compiled/.%: .compiled/.server
	$(PIP) "$$(echo $(WHEEL)/*.whl)[$*]"
	touch $@

# Starts a three-AZ cluster and prints a psql line for it. Options: make up UP="--listen 127.0.0.1:6432"
up: $(VENV)/.server
	$(BIN)/dsql up $(UP)

# Tests of single rooms run on two processors, each file in one process; what starts whole clusters or measures
# time, alone.
TIMED := tests/unit/storage/test_upkeep.py
APART := tests/architecture tests/differential tests/fuzz tests/unit --ignore $(TIMED)
ALONE := tests/docs tests/drivers tests/integration tests/simulation $(TIMED)

# Also installs a PostgreSQL to compare with, and a browser for the console, where apt-get can.
test: $(VENV)/.test
	sh tests/install_reference.sh
	sh tests/install_browser.sh
	$(BIN)/python -P -m pytest --numprocesses 2 --dist loadfile $(APART)
	$(BIN)/python -P -m pytest $(ALONE)

# Builds the console's page from console/ into the package, after its types and its own tests. Needs Node and npm;
# what is built is checked in, so that nobody else does.
console: console/node_modules
	npm run --silent --prefix console check
	npm run --silent --prefix console test
	npm run --silent --prefix console build

console/node_modules: console/package-lock.json
	npm ci --ignore-scripts --silent --no-audit --no-fund --prefix console
	touch $@

# Simulates cluster after cluster until stopped. Options: make soak SOAK="--seeds 1000"
soak: $(VENV)/.test
	cd tests && ../$(BIN)/python -m simulation $(SOAK)

lint: $(VENV)/.lint $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# Measures this server beside PostgreSQL, where that is installed. Options: make bench BENCH=--help
bench: $(VENV)/.bench
	$(BIN)/python bench/run.py $(BENCH)

# Sends statements that want too much, and writes what they got, in time and memory, into docs/SECURITY.md.
# Some of them, to be printed: make attacks ATTACKS="--only sort", ATTACKS=--cancels
attacks: $(VENV)/.bench
	$(BIN)/python bench/$(if $(ATTACKS),attacks.py $(ATTACKS),security.py)

# Runs bank, registers and lists over many connections while `dsql chaos` does its worst, and checks what the
# clients saw. Options: make chaos-load LOAD="--seconds 1800 -- --hold 2"
chaos-load: $(VENV)/.test
	cd tests && ../$(BIN)/python -m load $(LOAD)

# Runs PostgreSQL's own regression files, or .test files of sqllogictest or DuckDB, here and on a real PostgreSQL, and
# prints where the answers differ. The files are not ours: apt-get source postgresql-15, then
# make regression REGRESSION=.../src/test/regress
regression: $(VENV)/.test
	cd tests && PYTHONPATH=.. ../$(BIN)/python -m tests.differential.regression $(REGRESSION)

# Runs clients' own suites here and on a real PostgreSQL (docs/COMPATIBILITY.md), and prints what passes there only.
# They are fetched from GitHub, PyPI and npm. One or more of them: make compatibility SUITE="psycopg django". Where GitHub
# is out of reach, git takes them from mirrors: make compatibility ORIGIN="/srv/mirrors/{owner}/{name}.git"
compatibility: $(VENV)/.test
	cd tests && ../$(BIN)/python -m compatibility $(if $(ORIGIN),--origin "$(ORIGIN)") $(SUITE)

# Makes what pip installs: dist/dsql-*.tar.gz and a wheel. make dist DSQL_COMPILED=1: a wheel with compiled modules
dist: $(VENV)/.dist
	rm -rf build dist
	$(BIN)/python -m build .

# Makes the site of docs/ in docs/_site; a warning is an error. What its pages show is run by tests/docs.
docs: $(VENV)/.docs $(VENV)/.test
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_site

clean:
	rm -rf .venv .compiled build dist docs/_site .mypy_cache .ruff_cache
