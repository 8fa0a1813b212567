"""One git command: without a shell, without anything that a repository could make it start."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

_SAFE = (
    "-c", "core.fsmonitor=false",
    "-c", f"core.hooksPath={os.devnull}",
    "-c", "core.pager=cat",
    "-c", "core.untrackedCache=false",
    "-c", "core.splitIndex=false",
    "-c", "index.sparse=false",
    "-c", "submodule.recurse=false",
    "-c", "log.showSignature=false",
    "-c", "color.ui=false",
)  # fmt: skip
"""Whatever a repository's own configuration says."""
_KEPT = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_CEILING_DIRECTORIES")
"""What the user may have set on purpose; the rest of GIT_* (hooks set it) is about one repository,
perhaps another one."""


class GitError(Exception):
    """What was asked of git can't be had; ``str()`` is one line for the user."""


def environment() -> dict[str, str]:
    """The environment of every git command."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name in _KEPT
    }
    return {
        **kept,
        "LC_ALL": "C",
        "GIT_OPTIONAL_LOCKS": "0",  # git status & co. refresh the index otherwise
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",  # git 2.45 on; below it no transport is allowed:
        "GIT_ALLOW_PROTOCOL": "none",
        "GIT_PAGER": "cat",
    }


_HOOK = ("GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES")
"""What git tells its hooks: the index of ``git commit FILE``, objects that a push brings."""


def hook_environment(git_dir: Path, work_tree: Path | None) -> dict[str, str]:
    """What of git's environment for a hook is about this repository, if we are in one."""
    named = os.environ.get("GIT_DIR")
    if named is not None:
        ours = os.path.realpath(named) == os.path.realpath(git_dir)
    else:  # a hook of a work tree runs at its top
        ours = work_tree is not None and os.path.realpath(work_tree) == os.path.realpath(".")
    found = {name: os.environ[name] for name in _HOOK if name in os.environ} if ours else {}
    if "GIT_INDEX_FILE" in found:
        found["GIT_INDEX_FILE"] = str(Path.cwd() / found["GIT_INDEX_FILE"])
    return found


def command(folder: Path, words: Sequence[str], git_dir: Path | None = None) -> list[str]:
    """What is executed. ``git_dir`` is the repository, None when git is to look for it above
    ``folder``."""
    where = [f"--git-dir={git_dir}"] if git_dir is not None else []
    return ["git", "--no-pager", *_SAFE, "-C", str(folder), *where, *words]


def run(
    folder: Path,
    *words: str,
    git_dir: Path | None = None,
    extra: Mapping[str, str] | None = None,
    fine: Sequence[int] = (0,),
    stdin: bytes = b"",
) -> bytes:
    """What git prints. ``extra`` goes into its environment; ``fine`` are the exit statuses that are
    an answer; ``stdin`` is what it reads. Raises GitError with git's own first line."""
    import subprocess

    try:
        done = subprocess.run(
            command(folder, words, git_dir),
            input=stdin,
            capture_output=True,
            check=False,
            env={**environment(), **(extra or {})},
        )
    except FileNotFoundError:
        raise GitError("git is not installed") from None
    except (OSError, ValueError) as error:
        raise GitError(f"git can't be run: {error}") from None
    if done.returncode not in fine:
        raise GitError(said(done.stderr) or f"git {words[0]} failed ({done.returncode})")
    return done.stdout


def said(text: bytes) -> str:
    """The first line that git said, without 'fatal:'."""
    line = next(iter(os.fsdecode(text).strip().splitlines()), "")
    return line.removeprefix("fatal: ").removeprefix("error: ").strip()
