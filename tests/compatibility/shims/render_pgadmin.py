"""Renders pgAdmin's templates of queries: render_pgadmin.py TREE VERSION < values.json > queries.json

It runs in an environment that has Jinja. Values are named as the templates name them. What says more than
to read, or cannot be rendered by these values, is left out.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import jinja2

_READS = re.compile(r"\s*(--.*\n\s*)*(SELECT|WITH|SHOW)\b", re.IGNORECASE)
_OTHERS = re.compile(r"ppas|edb|pgd_|pgagent|debugger|resource_groups|synonyms|/tests/")
_VERSION = re.compile(r"/(default|(\d+)_plus)/")


class OfVersion(jinja2.BaseLoader):
    """Finds templates as pgAdmin does: of the newest version that is not newer than the server's."""

    def __init__(self, tree: Path, version: int) -> None:
        self.sources: dict[str, str] = {}
        ages: dict[str, int] = {}
        for path in sorted((tree / "web/pgadmin").rglob("templates/**/*")):
            if path.suffix not in (".sql", ".macros", ".macro") or _OTHERS.search(str(path)):
                continue
            _, _, name = str(path.relative_to(tree)).rpartition("/templates/")
            found = _VERSION.search(f"/{name}")
            age = int(found[2] or 0) if found else 0
            plain = _VERSION.sub("/", f"/{name}").strip("/")
            if ages.get(plain, -1) < age <= version:
                ages[plain] = age
                self.sources[plain] = path.read_text()

    def get_source(self, environment: jinja2.Environment, template: str) -> Any:
        """Return a template's text; names may have a version's folder, or its number between #."""
        plain = _VERSION.sub("/", f"/{re.sub('#.*#', '', template)}").strip("/")
        if plain not in self.sources:
            raise jinja2.TemplateNotFound(template)
        return self.sources[plain], None, None


def _quoted(value: Any, *_: Any) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def _identifier(*parts: Any) -> str:
    return ".".join('"' + str(part).replace('"', '""') + '"' for part in parts if part)


def main() -> None:
    """Render all that can be."""
    loader = OfVersion(Path(sys.argv[1]), int(sys.argv[2]))
    environment = jinja2.Environment(
        loader=loader, undefined=jinja2.ChainableUndefined, extensions=["jinja2.ext.do"]
    )
    environment.filters |= {
        "qtLiteral": _quoted,
        "qtIdent": lambda value, *more: _identifier(value, *more[1:]),
        "qtTypeIdent": lambda value, *more: _identifier(value, *more[1:]),
        "hasAny": lambda data, keys: any(key in data for key in keys),
    }
    values = json.load(sys.stdin)
    queries = {}
    for name in sorted(loader.sources):
        if not name.endswith(".sql"):
            continue
        try:
            text = environment.get_template(name).render(values)
        except (jinja2.TemplateError, TypeError, ValueError):
            continue
        if _READS.match(text):
            queries[name] = text
    json.dump(queries, sys.stdout)


main()
