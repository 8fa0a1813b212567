"""What is kept between runs: never another answer, never an error, and only what still holds."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from kvmlint import cache
from kvmlint.cache import Store
from kvmlint.diagnostic import Severity
from kvmlint.fileresult import FileResult
from kvmlint.knowledge import builtin, extend
from kvmlint.record import read, write
from kvmlint.runner import Options, Result, check
from kvmlint_rules import RULES

ROOT = Path(__file__).resolve().parent.parent
ACROSS = ROOT / "fixtures" / "missing-rollback" / "across"
KVM = "arch/arm64/kvm"
LANE, USER = f"{KVM}/vlane.c", f"{KVM}/vlane-user.c"
HANDLERS = f"{KVM}/hyp/nvhe/hyp-main.c"
OTHER = f"{KVM}/other.c"
HEADER = "arch/arm64/include/asm/kvm_host.h"
ALL = 4  # C files in the tree, EL2's is one


@dataclass(frozen=True)
class World:
    """A tree that may be edited, and a cache."""

    tree: Path
    file: Path

    def run(self, store: Store | None = None, jobs: int = 1) -> Result:
        own = Store(self.file) if store is None else store
        try:
            return check(
                [str(self.tree)], Options(min_level=Severity.NOTE, jobs=jobs), RULES, store=own
            )
        finally:
            own.close()

    def plain(self) -> Result:
        """What a run says that keeps nothing."""
        return check([str(self.tree)], Options(min_level=Severity.NOTE), RULES)

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.tree / path
        text = file.read_text(encoding="utf-8")
        assert text.count(old) >= 1, old
        file.write_text(text.replace(old, new, 1), encoding="utf-8")

    def same(self, result: Result) -> None:
        plain = self.plain()
        assert result.diagnostics == plain.diagnostics
        assert result.notifications == plain.notifications


@pytest.fixture
def world(tmp_path: Path) -> World:
    shutil.copytree(ACROSS, tmp_path / "linux")
    made = World(tmp_path / "linux", tmp_path / "cache" / "results.sqlite3")
    (made.tree / OTHER).write_text(
        "int vlane_nothing(void)\n{\n\tvlane_quiet();\n\treturn 0;\n}\n", encoding="utf-8"
    )
    return made


def anew(result: Result) -> int:
    return int(dict(result.statistics)["files analysed anew"])


def test_a_second_run_analyses_nothing(world: World) -> None:
    first = world.run()
    assert anew(first) == ALL
    assert first.diagnostics
    second = world.run()
    assert anew(second) == 0
    assert second.diagnostics == first.diagnostics
    world.same(second)


def test_a_second_run_imports_no_graphs(world: World) -> None:
    """Neither networkx nor the parser is paid for."""
    world.run()
    code = (
        "import sys\n"
        f"sys.path[:0] = {[str(ROOT / 'analyzer'), str(ROOT / 'rules')]!r}\n"
        "from kvmlint.cli import app\n"
        f"app.main([{str(world.tree)!r}, '--format', 'terse'], standalone_mode=False)\n"
        "sys.exit(sorted({'networkx', 'tree_sitter', 'sarif_om'} & set(sys.modules)) or 0)\n"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(world.tree.parent / "xdg")}
    for expected in (1, 0):  # the first one makes what the second one finds
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, check=False
        )
        assert (done.returncode != 0) == bool(expected), done.stderr.decode()


@pytest.mark.parametrize(
    ("path", "old", "new", "count"),
    [
        pytest.param(USER, "return 0;", "return 0; /* it is */", 1, id="a caller alone"),
        pytest.param(LANE, "kfree(out);", "kfree(out); /* too */", 2, id="a callee and its caller"),
        pytest.param(HANDLERS, "> 31", "> 30", 3, id="a handler and those that call it"),
        pytest.param(OTHER, "return 0", "return 1", 1, id="what has to do with nothing"),
    ],
)
def test_a_change_costs_what_depends_on_it(
    world: World, path: str, old: str, new: str, count: int
) -> None:
    world.run()
    world.edit(path, old, new)
    result = world.run()
    assert anew(result) == count
    world.same(result)
    assert anew(world.run()) == 0


def test_what_was_looked_up_and_not_found_counts(world: World) -> None:
    """A new file defines what a function called that nobody defined."""
    world.run()
    new = world.tree / KVM / "quiet.c"
    new.write_text(
        "int vlane_quiet(void)\n{\n\treturn kvm_call_hyp_nvhe(__vlane_open, 1);\n}\n",
        encoding="utf-8",
    )
    result = world.run()
    world.same(result)
    assert [d.function for d in result.diagnostics if d.span.path == OTHER] == ["vlane_nothing"]
    new.unlink()
    world.same(world.run())


def test_edits_one_after_the_other(world: World) -> None:
    """Whatever is changed, there and back: the same as without a cache."""
    edits = [
        (HANDLERS, "return id > 31 ? -EINVAL : 0;", "return 0;"),
        (USER, "vlane_start(lane->id); /*", "(void)vlane_share_page(lane->in); /*"),
        (HEADER, "return vlane_share_range(pfn, 1);", "return 0;"),
        (LANE, "WARN_ON(kvm_call_hyp_nvhe(__vlane_unshare, pfn + i));\n\t\t\treturn ret;", "{ }"),
        (LANE, "kfree(out);", ""),
        (USER, "return -ENOMEM;", "return 0;"),
        (HANDLERS, "static void handle___vlane_tune", "static void handle___vlane_tone"),
    ]
    texts = {path: (world.tree / path).read_text(encoding="utf-8") for path, _, _ in edits}
    seen = set()
    for path, old, new in edits:
        world.edit(path, old, new)
        result = world.run()
        world.same(result)
        seen.add(tuple(d.fingerprint for d in result.diagnostics))
    assert len(seen) >= 4  # the edits do change what is found
    for path, text in texts.items():
        (world.tree / path).write_text(text, encoding="utf-8")
        world.same(world.run())
    assert anew(world.run()) == 0


def test_other_tables_are_another_run(world: World) -> None:
    world.run()
    more = extend(
        builtin(),
        '[knowledge.family.lane]\nkind = "memory"\nmade = "m"\nundone = "u"\n'
        'make = [{ call = "lane_new", resource = "return", holds = "nonnull" }]\n'
        'undo = "lane_put"\n',
        ".kvmlint.toml",
    )
    store = Store(world.file)
    result = check([str(world.tree)], Options(), RULES, knowledge=more, store=store)
    store.close()
    assert anew(result) == ALL


def test_processes_keep_the_same(world: World) -> None:
    for number in range(8):  # below that one process does it all
        (world.tree / KVM / f"more{number}.c").write_text(
            f"void more{number}(void)\n{{\n\tkvm_call_hyp_nvhe(__vlane_open, 1);\n}}\n",
            encoding="utf-8",
        )
    first = world.run(jobs=2)
    assert anew(first) == ALL + 8
    second = world.run()
    assert anew(second) == 0
    assert second.diagnostics == first.diagnostics
    world.same(second)


def test_runs_at_the_same_time(world: World, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        f"sys.path[:0] = {[str(ROOT / 'analyzer'), str(ROOT / 'rules')]!r}\n"
        "from kvmlint.cli import main\nmain()\n"
    )
    words = [sys.executable, "-c", code, str(world.tree), "--format", "terse", "--statistics"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "xdg")}
    runs = [
        subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    said = [run.communicate() for run in runs]
    assert {run.returncode for run in runs} == {1}
    assert len({out for out, _ in said}) == 1
    assert all(b"cache: on" in err for _, err in said)


# --- files that are no cache, or a broken one ----------------------------------------------------


def problem(world: World) -> str:
    store = Store(world.file)
    result = world.run(store)
    world.same(result)
    return store.problem


def test_a_broken_file_is_begun_anew(world: World) -> None:
    world.run()
    data = bytearray(world.file.read_bytes())
    data[100:] = b"\xff" * (len(data) - 100)
    world.file.write_bytes(data)
    assert problem(world) == ""
    assert anew(world.run()) == 0


def test_a_truncated_file(world: World) -> None:
    world.run()
    world.file.write_bytes(world.file.read_bytes()[:5000])
    assert problem(world) == ""


@pytest.mark.parametrize("found", ["[]", "{", '["x", null, 1]', "[" * 5000, '"\\ud800"'])
def test_broken_rows(world: World, found: str) -> None:
    world.run()
    with sqlite3.connect(world.file) as base:
        base.execute("UPDATE result SET found = ?", (found,))
    base.close()
    assert problem(world) == ""
    world.same(world.run())


@pytest.mark.parametrize("asked", ["[]]", '[["no such question", "x"]]', "[[]]", "7", '[["file"]]'])
def test_broken_questions(world: World, asked: str) -> None:
    world.run()
    with sqlite3.connect(world.file) as base:
        base.execute("UPDATE result SET asked = ?", (asked,))
        base.execute("DELETE FROM place")
    base.close()
    assert problem(world) == ""
    world.same(world.run())


def test_another_files_row_is_not_taken(world: World) -> None:
    world.run()
    with sqlite3.connect(world.file) as base:
        (found,) = base.execute("SELECT found FROM result WHERE path = ?", (USER,)).fetchone()
        base.execute("UPDATE result SET found = ?", (found,))
    base.close()
    assert problem(world) == ""


def test_somebody_elses_file_is_left_alone(world: World) -> None:
    world.file.parent.mkdir()
    with sqlite3.connect(world.file) as base:
        base.execute("CREATE TABLE mine (x)")
    base.close()
    before = world.file.read_bytes()
    assert "no cache of kvmlint" in problem(world)
    assert world.file.read_bytes() == before


def test_no_folder_for_it(world: World) -> None:
    world.file.parent.write_text("a file", encoding="utf-8")
    assert problem(world)


def test_a_full_disk(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = cache._connect

    def small(name: str, reads_only: bool) -> sqlite3.Connection:
        base = connect(name, reads_only)
        base.execute("PRAGMA max_page_count = 6")
        return base

    monkeypatch.setattr(cache, "_connect", small)
    assert "full" in problem(world)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_can_only_be_read(world: World) -> None:
    world.run()
    world.file.chmod(0o400)
    world.file.parent.chmod(0o500)
    try:
        assert anew(world.run()) == 0
        world.edit(USER, "return 0;", "return 1;")
        world.same(world.run())
    finally:
        world.file.parent.chmod(0o700)


def test_a_file_of_another_version_is_made_anew(world: World) -> None:
    world.run()
    with sqlite3.connect(world.file) as base:
        base.execute(f"PRAGMA user_version = {cache.LAYOUT + 1}")
    base.close()
    assert problem(world) == ""
    assert anew(world.run()) == 0


def test_few_results_of_one_file_are_kept(world: World) -> None:
    for number in range(cache.VERSIONS + 3):
        world.edit(HANDLERS, f"> {31 + number}", f"> {32 + number}")
        world.run()
    store = Store(world.file)
    assert store.count() <= ALL * cache.VERSIONS
    store.close()


def test_results_are_data() -> None:
    result = FileResult("a.c", read=False)
    assert read(FileResult, write(result)) == result
    for text in ("", "null", "[]", "[1, 2]", '{"a": 1}', "[" * 100_000):
        with pytest.raises(ValueError, match=r"."):
            read(FileResult, text)
