"""Same bytes out, whatever the hash seed, the order of the files and the number of processes."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from itertools import permutations
from pathlib import Path

import pytest

from kvmlint.diagnostic import Precision, Severity
from kvmlint.runner import Options, check
from kvmlint_rules import RULES

ROOT = Path(__file__).resolve().parent.parent
EVERYTHING = ("--min-level", "note", "--min-precision", "low", "--show-notifications")
FILES = tuple(
    sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "fixtures").rglob("*.c"))
)
LONE = tuple(path for path in FILES if "/arch/" not in path)


@cache
def report(
    paths: Sequence[str] = LONE,
    form: str = "text",
    seed: str = "0",
    jobs: int = 1,
    tree: str = "",
) -> bytes:
    """What a fresh process prints; it must not have failed."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "kvmlint", "check", "--format", form, "-j", str(jobs)),
            *EVERYTHING,
            *(("--tree", tree) if tree else ()),
            *paths,
        ],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONHASHSEED": seed,
            "PYTHONPATH": os.pathsep.join(("analyzer", "rules")),
        },
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 1, done.stderr.decode()
    return done.stdout


def test_there_is_something_to_compare() -> None:
    assert len(LONE) >= 16  # enough for -j to make a difference
    text = report()
    for rule in (b"ignored-return", b"missing-rollback", b"partial-batch", b"premature-teardown"):
        assert text.count(b"[" + rule + b"]") >= 3
    assert b"note:" in text


@pytest.mark.parametrize(
    ("seed", "form"), [("1", "text"), ("random", "text"), ("1", "sarif"), ("random", "json")]
)
def test_hash_seed(seed: str, form: str) -> None:
    assert report(form=form, seed=seed) == report(form=form)


@pytest.mark.parametrize("order", ["reversed", "shuffled and some twice"])
def test_order_of_files(order: str) -> None:
    paths = list(LONE)
    if order == "reversed":
        paths.reverse()
    else:
        paths += paths[:5]
        random.Random(7).shuffle(paths)
    assert paths != list(LONE)
    assert report(tuple(paths)) == report()


@pytest.mark.parametrize(("jobs", "form"), [(2, "text"), (3, "text"), (2, "sarif")])
def test_number_of_processes(jobs: int, form: str) -> None:
    assert report(form=form, jobs=jobs) == report(form=form)


TREE = "fixtures/ignored-return/handlers"


@pytest.mark.parametrize("seed", ["1", "random"])
@pytest.mark.parametrize("tree", ["fixtures/demo", TREE])
def test_hash_seed_in_a_tree(tree: str, seed: str) -> None:
    """Contracts from EL2 code, with the errnos and the chains that they come by."""
    assert report((tree,), seed=seed, tree=tree) == report((tree,), tree=tree)


@pytest.mark.parametrize("tree", ["fixtures/demo", TREE])
def test_order_of_files_in_a_tree(tree: str) -> None:
    inside = [path for path in FILES if path.startswith(tree + "/")]
    assert len(inside) >= 2
    assert report(tuple(reversed(inside)), tree=tree) == report(tuple(inside), tree=tree)
    assert report((tree,), tree=tree) == report(tuple(inside), tree=tree)


FUNCTIONS = (
    "static int one(int a) { if (a > 1) return two(a); return kvm_call_hyp_nvhe(__x_frob, a); }",
    "static int two(int a) { if (a > 2) return one(a); return kvm_call_hyp_nvhe(__x_share, a); }",
    "int f(struct kvm *kvm, int a) { kvm->users++; return one(a); }",
    "int g(struct kvm *kvm, int a) { if (two(a)) return -EIO; return kvm->ops->go(a); }",
)
"""Two that call each other, and a caller of each."""


def test_order_of_functions_that_call_each_other() -> None:
    """What is said of a function doesn't depend on which of its callers stands first."""
    declared = [text.partition(" {")[0] + ";" for text in FUNCTIONS[:2]]
    said = set()
    for order in permutations(FUNCTIONS):
        text = "\n".join((*declared, *order)) + "\n"
        options = Options(min_level=Severity.NOTE, min_precision=Precision.LOW)
        result = check([], options, RULES, ("x.c", text.encode()))
        said.add(frozenset((d.rule, d.function, d.message) for d in result.diagnostics))
    assert len(said) == 1
    assert said != {frozenset()}
