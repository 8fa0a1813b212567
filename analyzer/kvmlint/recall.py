"""Results of files: from the store where they still hold, and else made anew."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from kvmlint import __version__, record
from kvmlint.cache import Key, Row, Store
from kvmlint.codebase import Codebase
from kvmlint.fileresult import FileResult, Functions

if TYPE_CHECKING:
    from kvmlint.rule import RuleClass

Asked: TypeAlias = list[list[str]]
"""Questions, each with its answer at the end."""
_Made: TypeAlias = tuple[FileResult, Asked]
_Share: TypeAlias = tuple[list[_Made], int]
"""What a process made, and its block visits."""


@dataclass(frozen=True, slots=True)
class Results:
    """``anew`` counts the files that were analysed, ``visits`` what that took; the other results
    were kept."""

    results: list[FileResult]
    anew: int = 0
    visits: int = 0


@dataclass(frozen=True, slots=True)
class _Work:
    """What is to be done with a file: rules, and the functions that they are asked about."""

    rules: tuple[RuleClass, ...]
    functions: Functions = field(default_factory=dict)

    def wanted(self, path: str) -> frozenset[str] | None:
        """The functions of a file that count; None: all."""
        return self.functions.get(path)


def results_of(
    code: Codebase,
    files: Sequence[str],
    rules: tuple[RuleClass, ...],
    jobs: int,
    store: Store | None,
    functions: Functions | None = None,
) -> Results:
    """One result a file, in their order: of ``functions`` alone, of all without. Without a store
    nothing is written down."""
    work = _Work(rules, functions or {})
    if store is None:
        fresh, visits = _made(code, files, work, jobs)
        return Results([result for result, _ in fresh], len(fresh), visits)
    keys = {key.path: key for key in _keys(code, files, work)}
    confirmed: list[tuple[Key, int]] = []
    found = _kept(code, keys, store, confirmed)
    narrow = [path for path in keys if path not in found and work.wanted(path) is not None]
    if narrow:
        # What all of a file gave tells what some of its functions give.
        whole = {key.path: key for key in _keys(code, narrow, _Work(rules))}
        for path, result in _kept(code, whole, store, confirmed).items():
            found[path] = result.of(work.wanted(path) or frozenset())
    rest = [path for path in files if path not in found]
    made: list[_Made] = []
    visits = 0
    if rest:
        code.program.trace.on = True
        made, visits = _made(code, rest, work, jobs)
    store.keep(
        [
            (keys[result.path], json.dumps(asked), record.write(result))
            for result, asked in made
            if result.path in keys and not any(n.failed for n in result.notifications)
        ],
        confirmed,
    )
    found.update((result.path, result) for result, _ in made)
    return Results([found[path] for path in files], len(made), visits)


def _kept(
    code: Codebase, keys: Mapping[str, Key], store: Store, confirmed: list[tuple[Key, int]]
) -> dict[str, FileResult]:
    """The results in the store that hold; ``confirmed`` takes where some were seen to."""
    found: dict[str, FileResult] = {}
    for path, row in store.at(list(keys.values())).items():
        result = _result(path, row)
        if result is not None:
            found[path] = result
    for path in [path for path in keys if path not in found]:
        for row in store.of(keys[path]):
            result = _result(path, row)
            if result is not None and _holds(code, row):
                found[path] = result
                confirmed.append((keys[path], row[0]))
                break
    return found


def _keys(code: Codebase, files: Sequence[str], work: _Work) -> Iterable[Key]:
    """What results of these files are kept under; nothing for a file that can't be read."""
    about = (
        __version__,
        tool(),
        code.knowledge.digest,
        str(code.whole),
        *(rule.id for rule in work.rules),
    )
    for path in files:
        blob = code.blob(path)
        if blob and path.isprintable():  # a name that isn't UTF-8 can't be kept
            wanted = work.wanted(path)
            only = () if wanted is None else ("only", *sorted(wanted))
            run = hashlib.sha256("\0".join((*about, *only)).encode()).hexdigest()
            place = "\0".join((run, code.stamp, path, blob))
            yield Key(run, path, blob, hashlib.sha256(place.encode()).hexdigest())


@cache
def tool() -> str:
    """What tells this installation from any other: a digest of its files' names, sizes and times,
    and of the parser's."""
    folders = [Path(__file__).parent]
    for name in ("kvmlint_rules", "tree_sitter", "tree_sitter_c"):
        spec = find_spec(name)
        if spec is not None and spec.origin:
            folders.append(Path(spec.origin).parent)
    made = hashlib.sha256(sys.version.encode())
    for folder in folders:
        for file in sorted(folder.rglob("*")):
            if file.suffix in (".py", ".toml", ".so"):
                stat = file.stat()
                made.update(f"{file}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode())
    return made.hexdigest()


def _result(path: str, row: Row) -> FileResult | None:
    """A row's result; None when it is broken, or is another file's."""
    try:
        found = record.read(FileResult, row[2])
    except ValueError:
        return None
    return found if found.path == path else None


def _holds(code: Codebase, row: Row) -> bool:
    """Whether all that a result was made from is still the same."""
    from kvmlint.answer import answer

    try:
        asked: object = json.loads(row[1])
        if not isinstance(asked, list) or not all(_is_question(one) for one in asked):
            return False
        asked.sort(key=lambda question: question[0] != "file")  # the cheapest first
        return all(answer(code, tuple(question)) == known for *question, known in asked)
    except (ValueError, RecursionError):
        return False


def _is_question(one: object) -> bool:
    return isinstance(one, list) and bool(one) and all(isinstance(part, str) for part in one)


# --- making ---------------------------------------------------------------------------------------

_shared: list[tuple[Codebase, _Work]] = []
"""What forked processes inherit: the code as it was before any file was analysed."""
FEWEST_FILES = 8
"""Below this number of files one process is faster than several."""


def _made(code: Codebase, files: Sequence[str], work: _Work, jobs: int) -> _Share:
    if jobs > 1 and len(files) >= FEWEST_FILES:
        return _in_processes(code, files, work, jobs)
    return _share(files, code, work)


def _in_processes(code: Codebase, files: Sequence[str], work: _Work, jobs: int) -> _Share:
    """Deal the files out; the findings are sorted later, so the number of jobs shows nowhere."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    _shared[:] = [(code, work)]
    shares = [files[start::jobs] for start in range(jobs)]
    try:
        with ProcessPoolExecutor(jobs, mp_context=get_context("fork")) as pool:
            parts = list(pool.map(_forked, shares))
    finally:
        _shared.clear()
    return [one for part, _ in parts for one in part], sum(visits for _, visits in parts)


def _forked(files: Sequence[str]) -> _Share:
    """One process's part."""
    return _share(files, *_shared[0])


def _share(files: Sequence[str], code: Codebase, work: _Work) -> _Share:
    from kvmlint.answer import answer
    from kvmlint.inspection import inspect

    program = code.program
    before = program.visits
    made: list[_Made] = []
    for path in files:
        with program.trace.making("result", path):
            program.trace.asks("entries")
            result = inspect(program, path, work.rules, work.wanted(path))
        questions = program.trace.questions("result", path)
        made.append((result, [[*question, answer(code, question)] for question in questions]))
    return made, program.visits - before
