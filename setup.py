"""Wheels with compiled modules: DSQL_COMPILED=1 python -m pip wheel --no-deps .

Without the variable this adds nothing to pyproject.toml, and nobody needs a compiler. mypyc reads the types
of all that is imported, hence the requirements.
"""

from __future__ import annotations

import os
import runpy
import tomllib
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext


class BuildAside(build_ext):
    """Builds for wheels only: beside its source an extension would hide what is edited there."""

    def finalize_options(self) -> None:
        """Refuse `build_ext --inplace` and editable installs."""
        super().finalize_options()
        if self.inplace or self.editable_mode:
            raise SystemExit("compiled modules are for wheels: an editable install goes without")


def requirements() -> list[str]:
    """Return what mypyc needs to know all types."""
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["lint"]]


def extensions() -> list[Extension]:
    """Return the modules to compile; none while setuptools asks for the requirements of that."""
    try:
        from mypyc.build import mypycify
    except ImportError:
        return []
    modules = runpy.run_path("dsql/compiled_modules.py")["COMPILED_MODULES"]
    return mypycify([f"{name.replace('.', '/')}.py" for name in modules], group_name="dsql")


if os.environ.get("DSQL_COMPILED"):
    setup(
        setup_requires=requirements(),
        ext_modules=extensions(),
        cmdclass={"build_ext": BuildAside},
    )
else:
    setup()
