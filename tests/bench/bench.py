"""``make bench``: how long kvmlint takes, beside spatch, and where the time goes.

Writes docs/performance.md and prints its table. Every command runs five times, all of them in
turn, so that a busy moment of the machine falls on all alike; medians are shown.
"""

from __future__ import annotations

import argparse
import cProfile
import datetime
import os
import platform
import pstats
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
HERE = Path(__file__).resolve().parent
FOLDER = "arch/arm64/kvm"
ROUNDS = 5


@dataclass
class Command:
    """One row of the table and what was measured: wall and user seconds, peak memory in bytes."""

    name: str
    args: Sequence[str]
    cwd: Path = ROOT
    wall: list[float] = field(default_factory=list)
    user: list[float] = field(default_factory=list)
    peak: list[int] = field(default_factory=list)

    def run(self) -> None:
        """Once."""
        paths = os.pathsep.join(str(ROOT / name) for name in ("analyzer", "rules"))
        started = time.perf_counter()
        child = subprocess.Popen(
            self.args,
            cwd=self.cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": paths},
        )
        _, status, usage = os.wait4(child.pid, 0)
        self.wall.append(time.perf_counter() - started)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode not in (0, 1):
            raise SystemExit(f"bench: {self.name} failed: {child.returncode}")
        self.user.append(usage.ru_utime)
        self.peak.append(usage.ru_maxrss * 1024)

    def row(self) -> str:
        """As a line of the table."""
        wall, user = statistics.median(self.wall), statistics.median(self.user)
        peak = statistics.median(self.peak) / 1024 / 1024
        return f"| {self.name} | {wall:.2f} s | {user:.2f} s | {peak:.0f} MB |"


def kvmlint(name: str, *args: str | Path, cwd: Path = ROOT) -> Command:
    """A run of kvmlint."""
    return Command(name, [sys.executable, "-m", "kvmlint", *(str(arg) for arg in args)], cwd)


def python(name: str, code: str, *args: str | Path) -> Command:
    """A run of kvmlint that was tampered with, to see what a measure brings."""
    return Command(name, [sys.executable, "-c", code, *(str(arg) for arg in args)])


MAIN = "from kvmlint.cli import main; main()"
EAGER = f"import tree_sitter, tree_sitter_c, networkx, kvmlint.runner, kvmlint_rules; {MAIN}"
UNPROJECTED = f"""
from kvmlint.explore.project import Projector
Projector.project = lambda self, state, block: None
{MAIN}
"""
COLLECTING = f"import gc; gc.set_threshold = lambda *limits: None; {MAIN}"
ALL_CONTRACTS = """
import sys
from kvmlint.codebase import open_code
program = open_code(sys.argv[1], None).program
assert not program.tree.el2_file("")
prefix = program.knowledge.tables.worlds.handler_prefix
for name in sorted(program.tree._el2):
    if name.startswith(prefix):
        program.hypercall(name[len(prefix):])
"""


def commands(tree: Path, lone: Path, series: Path) -> dict[str, list[Command]]:
    """What is measured: the table, spatch's part of it, and what the measures bring. ``series`` is
    a repository with twenty commits on top of a kernel."""
    folder, mmu = tree / FOLDER, tree / FOLDER / "mmu.c"
    main = [
        Command("`python -c pass`", [sys.executable, "-c", "pass"]),
        kvmlint("`kvmlint --help`", "--help"),
        kvmlint("one file outside any tree (mmu.c), cold", "--no-cache", lone),
        kvmlint("mmu.c in its tree, cold", "--no-cache", mmu),
        kvmlint("mmu.c in its tree, warm", mmu),
        kvmlint(f"{FOLDER}, cold, `-j1`", "--no-cache", folder),
        kvmlint(f"{FOLDER}, cold, `-j2`", "--no-cache", folder, "-j2"),
        kvmlint(f"{FOLDER}, warm", folder),
        kvmlint(f"{FOLDER} and virt/kvm, cold", "--no-cache", folder, tree / "virt/kvm"),
        kvmlint(f"{FOLDER}, audit", "audit", folder),
        kvmlint("`diff HEAD~1`, cold", "diff", "--no-cache", "HEAD~1", cwd=series),
        kvmlint("`diff HEAD~1`, warm", "diff", "HEAD~1", cwd=series),
        kvmlint("a series of 20, cold", "diff", "--no-cache", "HEAD~20..HEAD", cwd=series),
        kvmlint("a series of 20, warm", "diff", "HEAD~20..HEAD", cwd=series),
    ]
    spatch = []
    if shutil.which("spatch"):
        rules = sorted(HERE.glob("*.cocci"))
        for rule in rules:
            name = f"{FOLDER}, spatch, {rule.stem.replace('_', ' ')}"
            spatch.append(Command(name, [*_SPATCH, "--sp-file", str(rule), "--dir", str(folder)]))
    ablations = [
        python("`--help` with all libraries imported at once", EAGER, "--help"),
        python("the folder, collector as Python sets it", COLLECTING, "--no-cache", folder),
        python("the folder, no projection at block entry", UNPROJECTED, "--no-cache", folder),
        python("the contracts of all hypercalls, nothing else", ALL_CONTRACTS, folder),
    ]
    return {"main": main, "spatch": spatch, "ablations": ablations}


_SPATCH = ("spatch", "--very-quiet", "--no-includes")


def statistics_of(tree: Path) -> dict[str, str]:
    """What ``--statistics`` says of the folder."""
    done = subprocess.run(
        [sys.executable, "-m", "kvmlint", "--no-cache", "--statistics", str(tree / FOLDER)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'analyzer'}{os.pathsep}{ROOT / 'rules'}"},
    )
    return dict(line.split(": ", 1) for line in done.stderr.splitlines() if ": " in line)


# --- the profile ----------------------------------------------------------------------------------


def profile(tree: Path) -> tuple[list[tuple[str, float]], list[tuple[str, float]], float]:
    """Own time by room and by function (share of all, largest first), and the seconds in all.
    What is built in counts for whoever called it."""
    from kvmlint.runner import Options, check
    from kvmlint_rules import RULES

    profiler = cProfile.Profile()
    profiler.enable()
    check([str(tree / FOLDER)], Options(), RULES)
    profiler.disable()
    raw = pstats.Stats(profiler)
    rooms: dict[str, float] = {}
    functions: dict[str, float] = {}
    stats: dict[_Key, _Entry] = vars(raw)["stats"]
    for key, (_, _, own, _, callers) in stats.items():
        shares = {key: own} if _is_ours(key) else {who: took[2] for who, took in callers.items()}
        for who, seconds in shares.items():
            room, name = _place(who)
            rooms[room] = rooms.get(room, 0.0) + seconds
            functions[name] = functions.get(name, 0.0) + seconds
    total = sum(rooms.values())

    def largest(found: dict[str, float]) -> list[tuple[str, float]]:
        return sorted(((n, s / total) for n, s in found.items()), key=lambda one: -one[1])

    return largest(rooms), largest(functions), total


_Key = tuple[str, int, str]
_Entry = tuple[int, int, float, float, dict[_Key, tuple[int, int, float, float]]]


_SOURCES = {"kvmlint": ROOT / "analyzer" / "kvmlint", "rules": ROOT / "rules" / "kvmlint_rules"}


def _is_ours(key: _Key) -> bool:
    return any(Path(key[0]).is_relative_to(folder) for folder in _SOURCES.values())


def _place(key: _Key) -> tuple[str, str]:
    """Room and function of one entry of the profile."""
    path = Path(key[0])
    for name, folder in _SOURCES.items():
        if path.is_relative_to(folder):
            inside = path.relative_to(folder)
            room = "rules" if name == "rules" else inside.parts[0].removesuffix(".py")
            return room, f"{inside}: {key[2]}"
    return "Python and libraries", "Python and libraries"


# --- the page -------------------------------------------------------------------------------------


def first_line(*args: str) -> str:
    """The first line that a command prints, or ''."""
    try:
        done = subprocess.run(args, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return (done.stdout or done.stderr).splitlines()[0] if done.stdout or done.stderr else ""


def machine() -> str:
    """The class of machine: architecture, processors, model."""
    model = ""
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = re.search(r"^model name\s*:\s*(.*)$", info.read_text(), re.MULTILINE)
        model = f", {found[1]}" if found else ""
    count = len(os.sched_getaffinity(0))
    return f"{platform.system()} on {platform.machine()}, {count} processors{model}"


HEAD = "| what | wall | user CPU | peak memory |\n|---|---:|---:|---:|"


def page(tree: Path, found: dict[str, list[Command]]) -> str:
    """docs/performance.md."""
    from kvmlint import __version__

    rooms, functions, total = profile(tree)
    counts = statistics_of(tree)
    spatch = found["spatch"]
    cocci = first_line("spatch", "--version") if spatch else ""
    table = "\n".join([HEAD, *(one.row() for one in found["main"]), *(o.row() for o in spatch)])
    explored = ", ".join(
        f"{counts.get(name, '?')} {name}"
        for name in ("files", "functions explored", "block visits", "given up")
    )
    template = (HERE / "performance.md.in").read_text(encoding="utf-8")
    return template.format(
        date=datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        machine=machine(),
        version=__version__,
        python=platform.python_version(),
        cocci=f", {cocci}" if cocci else "; no spatch here",
        rounds=ROUNDS,
        folder=FOLDER,
        table=table,
        explored=explored,
        total=f"{total:.1f}",
        rooms="\n".join(f"| {name} | {share:.0%} |" for name, share in rooms if share >= 0.01),
        functions="\n".join(f"| `{name}` | {share:.1%} |" for name, share in functions[:12]),
        ablations="\n".join([HEAD, *(one.row() for one in found["ablations"])]),
    )


def main() -> None:
    """Measures, writes the page, prints it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tree", type=Path, help="root of Linux 6.12")
    parser.add_argument("--output", type=Path, help="where to write the page")
    options = parser.parse_args()
    tree: Path = options.tree
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["XDG_CACHE_HOME"] = scratch  # not the user's
        lone = Path(scratch) / "mmu.c"
        lone.write_bytes((tree / FOLDER / "mmu.c").read_bytes())
        sys.path[:0] = [str(ROOT), str(ROOT / "analyzer"), str(ROOT / "rules")]
        from tests.kernel.commits import new_series

        series = new_series(Path(scratch) / "linux", tree).path
        found = commands(tree, lone, series)
        every = [one for part in found.values() for one in part]
        for one in every:
            one.run()  # what is read from disk is in memory from here on
            one.wall, one.user, one.peak = [], [], []
        for number in range(ROUNDS):
            print(f"round {number + 1} of {ROUNDS}", file=sys.stderr)
            for one in every:
                one.run()
    text = page(tree, found)
    output: Path | None = options.output
    if output:
        output.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
