"""Git repositories that tests make, and kvmlint run on them."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path


def environment(home: Path) -> dict[str, str]:
    """Nothing of the user's own git."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {
        **kept,
        "HOME": str(home),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "A",
        "GIT_AUTHOR_EMAIL": "a@example.com",
        "GIT_COMMITTER_NAME": "A",
        "GIT_COMMITTER_EMAIL": "a@example.com",
        "GIT_AUTHOR_DATE": "2024-01-01T00:00:00Z",
        "GIT_COMMITTER_DATE": "2024-01-01T00:00:00Z",
    }


@dataclass(frozen=True)
class Repo:
    """A repository with a work tree at ``path``."""

    path: Path
    ids: dict[str, str] = field(default_factory=dict)

    def git(self, *words: str, stdin: bytes | None = None) -> str:
        done = subprocess.run(
            ["git", "-c", "init.defaultBranch=main", *words],
            cwd=self.path,
            env=environment(self.path),
            input=stdin,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, (words, done.stderr.decode())
        return done.stdout.decode().strip()

    def write(self, name: str, text: str) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def read(self, name: str) -> str:
        return (self.path / name).read_text(encoding="utf-8")

    def replace(self, name: str, old: str, new: str) -> None:
        """Edit a file; ``old`` must be in it exactly once."""
        text = self.read(name)
        assert text.count(old) == 1, (old, text.count(old))
        self.write(name, text.replace(old, new))

    def commit(self, subject: str) -> str:
        """Commit everything; the id."""
        self.git("add", "-A")
        self.git("commit", "--quiet", "--allow-empty", "-m", subject)
        self.ids[subject] = self.git("rev-parse", "HEAD")
        return self.ids[subject]


def new_repo(path: Path) -> Repo:
    """An empty repository; its branch is main."""
    path.mkdir(parents=True, exist_ok=True)
    repo = Repo(path)
    repo.git("init", "--quiet")
    return repo
