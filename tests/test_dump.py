"""What ``kvmlint dump`` shows of a function, as text and as DOT."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kvmlint.dump import DumpError, dump_cfg, dump_paths

ROOT = Path(__file__).resolve().parent.parent

TEXT = r"""
#ifdef CONFIG_A
int twice(int a)
{
	return one(a);
}
#else
int twice(int a)
{
	return other(a);
}
#endif

int f(struct kvm *kvm, struct rec *rec)
{
	int r = 0;

	guard(mutex)(&kvm->m);
	pr_info("a \"b\" \\ {x}; -> %d\n", r);
	list_add(&rec->l, &kvm->list);
	r = kvm_call_hyp_nvhe(__pkvm_frob, rec->pfn);
	if (r < 0 && kvm->c != '"')
		return r;
	while (kvm->busy)
		cpu_relax();
	WARN_ON(kvm_call_hyp_nvhe(__pkvm_host_share_hyp, rec->pfn));
	return 0;
}
"""


def line(part: str) -> int:
    """The 1-based line of TEXT that holds a text."""
    (found,) = (n for n, text in enumerate(TEXT.splitlines(), 1) if part in text)
    return found


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "x.c"
    path.write_text(TEXT)
    return str(path)


# --- the graph as text ---------------------------------------------------------------------------


def blocks(text: str) -> dict[str, list[str]]:
    """The lines of each block."""
    found: dict[str, list[str]] = {}
    for shown in text.splitlines()[1:]:
        if match := re.fullmatch(r"  block (\d+)", shown):
            found[match[1]] = []
        else:
            found[list(found)[-1]].append(shown.strip())
    return found


def test_cfg_names_the_function_and_where_it_begins_and_ends(file: str) -> None:
    text = dump_cfg(file, "f", None, dot=False)
    match = re.match(r"f: entry (\d+), exit (\d+)\n", text)
    assert match
    shown = blocks(text)
    assert next(iter(shown)) == match[1]
    assert shown[match[2]] == []


def test_cfg_shows_each_operation_with_its_line(file: str) -> None:
    lines = [
        shown for ops in blocks(dump_cfg(file, "f", None, dot=False)).values() for shown in ops
    ]
    for operation in (
        f"{line('guard(mutex)')}: guard(mutex) begins",
        f"{line('guard(mutex)')}: guard(mutex) ends",
        f"{line('list_add')}: list_add(&rec->l, &kvm->list)  [bare discard]",
        f"{line('cpu_relax')}: cpu_relax()  [bare discard]",
        f"{line('return 0')}: return 0",
    ):
        assert operation in lines
    hypercalls = [shown for shown in lines if "kvm_call_hyp_nvhe(" in shown]
    assert [int(shown.partition(":")[0]) for shown in hypercalls] == [
        line("__pkvm_frob"),
        line("__pkvm_host_share_hyp"),
    ]


def test_cfg_shows_a_declaration_as_its_name(tmp_path: Path) -> None:
    path = tmp_path / "x.c"
    path.write_text("int f(int a)\n{\n\tint r;\n\n\tr = a;\n\tr--;\n\treturn r;\n}\n")
    lines = [op for ops in blocks(dump_cfg(str(path), "f", None, dot=False)).values() for op in ops]
    assert "3: r = ?" in lines
    assert "5: r = a" in lines
    # what is stored, not the text of the whole update
    assert not [shown for shown in lines if shown.endswith("r = r--")]


def test_cfg_shows_the_condition_of_each_way_out(file: str) -> None:
    shown = blocks(dump_cfg(file, "f", None, dot=False))
    ways = [way for ops in shown.values() for way in ops if way.startswith("->")]
    targets = {way.split()[1] for way in ways}
    assert targets <= shown.keys()
    tests = sorted(way.partition(" when ")[2] for way in ways if " when " in way)
    assert tests == sorted(
        [
            "r < 0",
            "not r < 0",
            "kvm->c != '\"'",
            "not kvm->c != '\"'",
            "kvm->busy",
            "not kvm->busy",
        ]
    )


def test_cfg_shows_every_variant(file: str) -> None:
    text = dump_cfg(file, "twice", None, dot=False)
    assert text.count("twice: entry") == 2
    assert "one(a)" in text
    assert "other(a)" in text


# --- the graph as DOT ----------------------------------------------------------------------------

_DOT = re.compile(r'\s+|"(?:\\.|[^"\\\n])*"|->|[\[\]{};=]|[A-Za-z0-9_.]+')


def tokens(text: str) -> list[str]:
    """DOT's tokens, without white space; nothing may be left over."""
    found: list[str] = []
    at = 0
    while at < len(text):
        match = _DOT.match(text, at)
        assert match, f"no DOT: {text[at : at + 40]!r}"
        at = match.end()
        if not match[0].isspace():
            found.append(match[0])
    return found


def unquoted(token: str) -> str:
    assert token[0] == token[-1] == '"'
    return re.sub(r"\\(.)", lambda m: "\n" if m[1] == "l" else m[1], token[1:-1])


def graph(text: str) -> tuple[dict[str, str], dict[tuple[str, str], str]]:
    """Labels of the nodes and of the edges."""
    words = tokens(text)
    assert words[0] == "digraph"
    assert words[2] == "{"
    assert words[-1] == "}"
    nodes: dict[str, str] = {}
    edges: dict[tuple[str, str], str] = {}
    statement: list[str] = []
    for word in words[3:-1]:
        if word != ";":
            statement.append(word)
            continue
        match statement:
            case ["node", "[", *_, "]"]:
                pass
            case [name, "[", "label", "=", label, "]"]:
                assert name not in nodes
                nodes[name] = unquoted(label)
            case [source, "->", target, "[", "label", "=", label, "]"]:
                assert (source, target) not in edges
                edges[source, target] = unquoted(label)
            case _:
                pytest.fail(f"no DOT statement: {statement}")
        statement = []
    assert statement == []
    return nodes, edges


def test_dot_is_well_formed_and_says_what_the_text_says(file: str) -> None:
    nodes, edges = graph(dump_cfg(file, "f", None, dot=True))
    shown = blocks(dump_cfg(file, "f", None, dot=False))
    assert nodes.keys() == shown.keys()
    for name, label in nodes.items():
        operations = [op for op in shown[name] if not op.startswith("->")]
        assert label.splitlines() == [name, *operations]
    ways = {
        (name, op.split()[1]) for name, ops in shown.items() for op in ops if op.startswith("->")
    }
    assert edges.keys() == ways


def test_dot_keeps_quotes_and_backslashes(file: str) -> None:
    nodes, edges = graph(dump_cfg(file, "f", None, dot=True))
    assert any(r'pr_info("a \"b\" \\ {x}; -> %d\n", r)' in label for label in nodes.values())
    assert "kvm->c != '\"'" in edges.values()


def test_dot_denies_a_whole_test(file: str) -> None:
    """'!r < 0' would say (!r) < 0."""
    _, edges = graph(dump_cfg(file, "f", None, dot=True))
    assert "r < 0" in edges.values()
    assert "!r < 0" not in edges.values()


# --- paths ---------------------------------------------------------------------------------------


def test_paths_show_outcomes_effects_and_marks(file: str) -> None:
    text = dump_paths(file, "f", None)
    assert re.match(r"f: \d+ exits, \d+ visits, host\n", text)
    exits = re.split(r"\n  (?=\w)", text)[1:]
    (returned,) = (one for one in exits if f"(line {line('return r;')})" in one)
    assert returned.startswith("error")
    assert f"{line('__pkvm_frob')}: __pkvm_frob FAILED <- last" in returned
    listed = f"{line('list_add')}: +list"
    assert listed in returned
    assert f"followed by {line('__pkvm_frob')}!" in returned
    others = [one for one in exits if one is not returned]
    assert others
    assert all(one.startswith("success 0") for one in others)
    assert all(listed in one for one in others)
    share = line("__pkvm_host_share_hyp")
    kept = [one for one in others if f"{share}: +hyp:__pkvm_host_unshare_hyp" in one]
    lost = [one for one in others if f"{share}: __pkvm_host_share_hyp FAILED" in one]
    assert kept
    assert lost
    assert not [one for one in kept if one in lost]
    assert all(f"{share}: warned" in one for one in lost)


def test_paths_of_a_function_at_el2() -> None:
    tree = ROOT / "fixtures/demo"
    handlers = tree / "arch/arm64/kvm/hyp/nvhe/hyp-main.c"
    (name, *_) = re.findall(r"\b(handle___\w+)\(", handlers.read_text())
    text = dump_paths(str(handlers), name, str(tree))
    assert text.splitlines()[0].endswith(", EL2")


# --- errors --------------------------------------------------------------------------------------


def test_unknown_function(file: str) -> None:
    with pytest.raises(DumpError, match="no function 'nope'"):
        dump_cfg(file, "nope", None, dot=False)
    with pytest.raises(DumpError, match="no function 'nope'"):
        dump_paths(file, "nope", None)


def kvmlint(*args: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((str(ROOT / "analyzer"), str(ROOT / "rules")))
    return subprocess.run(
        [sys.executable, "-m", "kvmlint", *args],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("what", ["cfg", "paths"])
def test_an_unknown_function_is_a_usage_error(file: str, what: str) -> None:
    done = kvmlint("dump", what, file, "nope")
    assert done.returncode == 2
    assert done.stdout == ""
    assert file in done.stderr
    assert "no function 'nope'" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_the_command_prints_is_what_the_engine_saw(file: str) -> None:
    done = kvmlint("dump", "cfg", "--format", "dot", file, "f")
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout == dump_cfg(file, "f", None, dot=True)
