"""The suites: where they come from, what they need, and how each is run against a server.

`prepare` brings a suite into its place, once, and returns what runs it there. Both runs leave out what
measures time.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from compatibility.queries import pgadmin
from compatibility.results import Results, from_junit, from_unittest
from compatibility.servers import Variables
from compatibility.sources import Place
from compatibility.tools import BackslashCommands, dumps

HERE = Path(__file__).parent
SHIMS = HERE / "shims"
_SECONDS_MAX = 3_600
_FILE_SECONDS_MAX = 60

Run = Callable[[Variables, str], Results]


@dataclass(frozen=True)
class Suite:
    """`prepare(place)` returns what runs the suite with a server's variables, under a side's name."""

    name: str
    version: str
    prepare: Callable[[Place], Run]


# ---------------------------------------------------------------- how one is run


def _call(
    command: Sequence[str | Path], variables: Variables, output: Path, *, cwd: Path, seconds: int
) -> int:
    """Run a command, and return its exit status; what it prints goes to a file."""
    paths = os.pathsep.join([str(SHIMS), *filter(None, [variables.get("PYTHONPATH")])])
    environment = os.environ | variables | {"PYTHONPATH": paths}
    with output.open("wb") as file:
        try:
            done = subprocess.run(
                command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=file,
                stderr=subprocess.STDOUT, timeout=seconds, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return -1
    return done.returncode


def _pytest(
    python: Path, tree: Path, directory: Path, arguments: Callable[[Variables], list[str]],
    variables: Variables, side: str,
) -> Results:  # fmt: skip
    report = directory / f"{side}.xml"
    command = [python, "-m", "pytest", "-q", f"--junitxml={report}", *arguments(variables)]
    _call(command, variables, directory / f"{side}.log", cwd=tree, seconds=_SECONDS_MAX)
    return from_junit(report)


# ---------------------------------------------------------------- the suites


def _psycopg(place: Place) -> Run:
    tree = place.checkout("psycopg/psycopg", "3.3.4")
    parts = (tree / "psycopg", tree / "psycopg_pool")
    python = place.python(*parts, "pytest", "pytest-randomly", "anyio", "pproxy", "dnspython")
    chosen = "not slow and not flakey and not mypy and not timing"
    options = ["tests", "-p", "no:randomly", "-m", chosen, "--test-dsn", "dbname=postgres"]
    return partial(_pytest, python, tree, place.directory, lambda _variables: options)


def _asyncpg(place: Place) -> Run:
    tree = place.checkout("MagicStack/asyncpg", _ASYNCPG)
    tests = place.directory / "tests-only"  # beside its sources it would not be the built package
    if not tests.exists():
        tests.mkdir()
        (tree / "tests").rename(tests / "tests")
    python = place.python("asyncpg==0.32.0", "pytest", "uvloop", "distro")
    return partial(_pytest, python, tests, place.directory, lambda _variables: ["tests"])


def _sqlalchemy(place: Place) -> Run:
    tree = place.checkout("sqlalchemy/sqlalchemy", _SQLALCHEMY)
    python = place.python(tree, "psycopg[binary]", "pytest")

    def arguments(variables: Variables) -> list[str]:
        for schema in ("test_schema", "test_schema_2"):
            command = ["psql", "-qXc", f"CREATE SCHEMA {schema}"]
            subprocess.run(command, env=os.environ | variables, check=True)
        host, port, user = (variables[name] for name in ("PGHOST", "PGPORT", "PGUSER"))
        url = f"postgresql+psycopg://{user}@/postgres?host={host}&port={port}"
        files = ["test/dialect/test_suite.py", "test/dialect/postgresql"]
        return [*files, "-p", "no_extensions", "--dburi", url, "--maxfail", "100000"]

    return partial(_pytest, python, tree, place.directory, arguments)


_DJANGO_APPS = """
schema migrations backends introspection inspectdb constraints indexes queries lookup ordering aggregation
annotations expressions bulk_create delete get_or_create select_for_update update transactions basic
model_fields db_functions datetimes many_to_many
""".split()
_DJANGO_SETTINGS = """
import os

_ONE = {{"ENGINE": "django.db.backends.postgresql", "NAME": "postgres", "HOST": os.environ["PGHOST"],
        "PORT": os.environ["PGPORT"], "USER": os.environ["PGUSER"]}}
DATABASES = {{
    "default": _ONE | {{"TEST": {{"NAME": "{database}"}}}},
    "other": _ONE | {{"TEST": {{"MIRROR": "default"}}}},
}}
SECRET_KEY = "x"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
"""


def _django(place: Place) -> Run:
    tree = place.archive("django==5.2.8")
    python = place.python(tree, "psycopg[binary]", "jinja2", "docutils")

    def run(variables: Variables, side: str) -> Results:
        is_here = side == "here"  # a cluster has one database, which is used as it is
        database = "postgres" if is_here else "django"
        (tree / "tests" / f"on_{side}.py").write_text(_DJANGO_SETTINGS.format(database=database))
        results: Results = {}
        for app in _DJANGO_APPS:
            output = place.directory / f"{side}-{app}.log"
            options = [
                "--parallel",
                "1",
                "--noinput",
                "-v",
                "2",
                *["--keepdb"][: int(is_here)],
                app,
            ]
            command = [python, "runtests.py", "--settings", f"on_{side}", *options]
            variables = variables | {"PYTHONPATH": str(tree / "tests")}
            _call(command, variables, output, cwd=tree / "tests", seconds=_SECONDS_MAX)
            results |= from_unittest(output.read_text())
        return results

    return run


def _node_postgres(place: Place) -> Run:
    tree = place.checkout("brianc/node-postgres", _NODE_POSTGRES)
    package = tree / "packages" / "pg"
    if not (tree / "node_modules").exists():
        manifest = json.loads((package / "package.json").read_text())
        for kind in ("devDependencies", "peerDependencies", "peerDependenciesMeta"):
            manifest[kind] = {
                name: version
                for name, version in manifest.get(kind, {}).items()
                if not any(word in name for word in ("native", "vitest", "wrangler", "workerd"))
            }
        (package / "package.json").write_text(json.dumps(manifest))
        npm = [
            "npm",
            "install",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--legacy-peer-deps",
        ]
        subprocess.run(npm, cwd=tree, check=True)
        subprocess.run(["npx", "tsc", "--build"], cwd=tree, check=False)

    def run(variables: Variables, side: str) -> Results:
        results: Results = {}
        if "PGSSLROOTCERT" in variables:
            variables = variables | {"NODE_EXTRA_CA_CERTS": variables["PGSSLROOTCERT"]}
        else:
            variables = variables | {"PGTESTNOSSL": "true"}
        variables["NODE_OPTIONS"] = f"--require {SHIMS / 'resolve.js'}"
        for test in sorted((package / "test" / "integration").rglob("*-tests.js")):
            output = place.directory / f"{side}-{test.stem}.log"
            status = _call(
                ["node", test], variables, output, cwd=package, seconds=_FILE_SECONDS_MAX
            )
            results[test.stem] = output.read_text() if status else None
        return results

    return run


def _dumps(place: Place) -> Run:
    def run(variables: Variables, side: str) -> Results:
        return dumps(variables, Path(tempfile.mkdtemp(prefix=side, dir=place.directory)))

    return run


def _pgadmin(place: Place) -> Run:
    return pgadmin(place, _PGADMIN, 15).run


_ASYNCPG = "db8ecc2a38e16fb0c090aef6f5506547c2831c24"
_SQLALCHEMY = "f35da7e2b9349a08b8de1f6bd3b07c8bf8616790"
_NODE_POSTGRES = "c9e57617bc92c2ded23a75345f50eadc527bd131"
_PGADMIN = "bc58657d3d3ab4209cdadea6d191b632cf1572cc"
SUITES = {
    suite.name: suite
    for suite in (
        Suite("psycopg", "3.3.4", _psycopg),
        Suite("asyncpg", "0.32.0", _asyncpg),
        Suite("sqlalchemy", _SQLALCHEMY[:12], _sqlalchemy),
        Suite("django", "5.2.8", _django),
        Suite("psql", "15", lambda _place: BackslashCommands().run),
        Suite("pg_dump", "15", _dumps),
        Suite("pgadmin", _PGADMIN[:12], _pgadmin),
        Suite("node-postgres", _NODE_POSTGRES[:12], _node_postgres),
    )
}
