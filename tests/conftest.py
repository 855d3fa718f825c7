"""On a CI machine hypothesis tries the same examples every time; elsewhere it looks for new ones."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# What tests start is what is installed, also in the directory of the sources.
os.environ["PYTHONSAFEPATH"] = "1"

# How long it takes to make examples says how busy the machine is.
settings.register_profile("patient", suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("patient"), derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "patient")
