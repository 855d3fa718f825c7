"""What holds for all tests, and what a report ends with.

On a CI machine hypothesis tries the same examples every time; elsewhere it looks for new ones.
"""

from __future__ import annotations

import os
import platform
import sys

import pytest
from hypothesis import HealthCheck, settings

# What tests import and start is what is installed, compiled modules too, and not the sources that lie here
# (`python -P`, see the Makefile). They come last: spawned processes import what they run from `tests`.
os.environ["PYTHONSAFEPATH"] = "1"
sys.path.append(os.path.dirname(os.path.dirname(__file__)))

# How long it takes to make examples says how busy the machine is.
settings.register_profile("patient", suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("patient"), derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "patient")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say where publication was tested: how one machine orders stores, no other one can show."""
    machine, processors = platform.machine(), os.cpu_count()
    terminalreporter.write_line(
        f"the order of stores was that of {machine}, {processors} processors"
    )
