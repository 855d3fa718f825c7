"""Where suites come from, and the directory that they are kept in, each with an environment of its own."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

GITHUB = "https://github.com/{owner}/{name}"


@dataclass(frozen=True)
class Place:
    """A suite's directory. `origin` makes of a repository's owner and name what git fetches it from: a
    URL, or the path of a mirror. What is there already is used as it is.
    """

    directory: Path
    origin: str = GITHUB

    def checkout(self, repository: str, revision: str) -> Path:
        """Return a working tree of a GitHub repository."""
        tree = self.directory / "source"
        if not tree.exists():
            owner, name = repository.split("/")
            unready = self.directory / "fetched"
            git = ("git", "-C", str(unready))
            subprocess.run(["git", "init", "--quiet", unready], check=True)
            url = self.origin.format(owner=owner, name=name)
            subprocess.run([*git, "fetch", "--quiet", "--depth", "1", url, revision], check=True)
            subprocess.run([*git, "checkout", "--quiet", "FETCH_HEAD"], check=True)
            unready.rename(tree)
        return tree

    def archive(self, requirement: str) -> Path:
        """Return the unpacked source distribution of a PyPI project."""
        tree = self.directory / "source"
        if not tree.exists():
            options = ("--quiet", "--no-deps", "--no-binary", ":all:")
            pip = (sys.executable, "-m", "pip", "download", *options)
            subprocess.run([*pip, "--dest", self.directory, requirement], check=True)
            (archive,) = self.directory.glob("*.tar.gz")
            tree.mkdir()
            subprocess.run(["tar", "xzf", archive, "-C", tree, "--strip-components=1"], check=True)
        return tree

    def python(self, *requirements: str | Path) -> Path:
        """Return the interpreter of an environment with these projects."""
        environment = self.directory / "venv"
        python, is_whole = environment / "bin" / "python", environment / "whole"
        if not is_whole.exists():
            subprocess.run([sys.executable, "-m", "venv", environment], check=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], check=True)
            is_whole.touch()
        return python
