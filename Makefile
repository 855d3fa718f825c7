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
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock

.PHONY: setup up test soak bench attacks chaos-load lint clean
setup: $(VENV)/.server $(VENV)/.test $(VENV)/.lint $(VENV)/.bench

$(VENV)/.server: pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	touch $@

$(VENV)/.test $(VENV)/.lint $(VENV)/.bench: $(VENV)/.%: $(VENV)/.server
	$(PIP) -e '.[$*]'
	touch $@

# Starts a three-AZ cluster and prints a psql line for it. Options: make up UP="--listen 127.0.0.1:6432"
up: $(VENV)/.server
	$(BIN)/dsql up $(UP)

# Also installs a PostgreSQL to compare with, where apt-get can.
test: $(VENV)/.test
	sh tests/install_reference.sh
	$(BIN)/python -m pytest

# Simulates cluster after cluster until stopped. Options: make soak SOAK="--seeds 1000"
soak: $(VENV)/.test
	cd tests && ../$(BIN)/python -m simulation $(SOAK)

lint: $(VENV)/.lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# Measures this server beside PostgreSQL, where that is installed. Options: make bench BENCH=--help
bench: $(VENV)/.bench
	$(BIN)/python bench/run.py $(BENCH)

# Sends statements that want too much, and prints what they got, in time and memory.
attacks: $(VENV)/.bench
	$(BIN)/python bench/attacks.py $(ATTACKS)

# Runs bank, registers and lists over many connections while `dsql chaos` does its worst, and checks what the
# clients saw. Options: make chaos-load LOAD="--seconds 1800 -- --hold 2"
chaos-load: $(VENV)/.test
	cd tests && ../$(BIN)/python -m load $(LOAD)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache
