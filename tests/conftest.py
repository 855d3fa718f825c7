"""On a CI machine hypothesis tries the same examples every time; elsewhere it looks for new ones."""

from __future__ import annotations

import os

from hypothesis import settings

# What tests start is what is installed, also in the directory of the sources.
os.environ["PYTHONSAFEPATH"] = "1"

settings.register_profile("ci", derandomize=True, database=None)
if os.environ.get("CI"):
    settings.load_profile("ci")
