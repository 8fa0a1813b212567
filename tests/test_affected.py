"""Which functions a change can matter to: as few as may be, and never one too few."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from tests.test_reuse import EL2, HANDLERS, HEADER, OTHER, SAME
from tests.test_reuse import version as demo

from kvmlint.affected import affected
from kvmlint.cache import Store
from kvmlint.codebase import Codebase, Shared
from kvmlint.diagnostic import Change, Precision, Severity
from kvmlint.exempt import Exemption
from kvmlint.fileresult import Functions
from kvmlint.knowledge import builtin
from kvmlint.runner import Options
from kvmlint.series import Outcome, Series, Step, examine
from kvmlint.source import FolderSources, OverlaySources, SourceFile, Sources
from kvmlint_rules import RULES

HOST, OWN = "arch/arm64/kvm/lend.c", "arch/arm64/kvm/own.c"
MORE = "virt/kvm/more.c"

TEXT = """\
#include <asm/kvm_host.h>

struct own {
	int top;
};

int low(u64 n)
{
	return kvm_call_hyp_nvhe(__demo_set_limit, n);
}

static int mid(u64 n)
{
	int ret = low(n);

	if (ret)
		return ret;

	return 0;
}

int top(u64 n)
{
	return mid(n);
}

void aside(void)
{
	/* Unlike top(). */
	kvm_call_hyp_nvhe(__demo_flush, 1);
}

void field(struct own *own)
{
	own->top = 0;
	kvm_call_hyp_nvhe(__demo_flush, 2);
}

int pool_init(u64 n)
{
	return low(n);
}

int pool_use(u64 n)
{
	return pool_init(n) ? -EBUSY : 0;
}
"""
ALL = {"low", "mid", "top", "aside", "field", "pool_init", "pool_use"}
ABOVE_LOW = {"low", "mid", "top", "pool_init", "pool_use"}
CALL = "\treturn kvm_call_hyp_nvhe(__demo_set_limit, n);\n"


def versions(project: Path, **texts: str | None) -> list[Codebase]:
    """The demo with ``TEXT``, and the same with files (by the name of a constant) changed."""
    names = {"host": HOST, "own": OWN, "more": MORE, "el2": EL2, "handlers": HANDLERS}
    names["header"] = HEADER
    base = FolderSources(project / "fixtures/demo")
    first = OverlaySources(base, {OWN: TEXT.encode()})
    changed = {names[k]: v.encode() if v is not None else None for k, v in texts.items()}
    shared = Shared()
    return [
        Codebase(sources, True, "/nowhere", builtin(), shared)
        for sources in (first, OverlaySources(first, changed))
    ]


def chosen(project: Path, **texts: str | None) -> Functions | None:
    return affected(versions(project, **texts), Store(None))


def edited(old: str, new: str, text: str = TEXT) -> str:
    assert text.count(old) == 1, old
    return text.replace(old, new)


def demo_text(project: Path, path: str) -> str:
    return FolderSources(project / "fixtures/demo").read(path).decode()


HOST_EDITS: dict[str, tuple[str, set[str]]] = {
    "nothing that callers see": (
        edited(CALL, f"\tint ret = {CALL[8:]}\n\treturn ret;\n"),
        {"low"},
    ),
    "what callers see": (edited(CALL, f"\t{CALL[8:]}\treturn 0;\n"), ABOVE_LOW),
    # the function that it calls may be judged by its callers
    "a caller": (edited("\t\treturn ret;\n\n\treturn 0;", "\t\treturn 0;\n\n\treturn 0;"),
                 {"low", "mid", "top"}),
    "a comment": (edited("Unlike top()", "Not like top()"), {"aside"}),
    "a field of a function's name": (edited("own->top = 0", "own->top = 1"), {"field"}),
    "a comment outside": (edited("struct own {", "/* A comment. */\nstruct own {"), set()),
    "blanks outside": (edited("};\n\nint low", "};\n\n\n\nint low"), set()),
    "another function": (TEXT + "\nint other(u64 n)\n{\n\treturn low(n);\n}\n", {"other", "low"}),
    "a function is gone": (
        edited("int top(u64 n)\n{\n\treturn mid(n);\n}\n\n", ""), {"top", "mid"},
    ),
    "another name": (edited("int top(", "int highest("), {"top", "highest", "mid"}),
    "a structure": (edited("\tint top;\n", "\tint top, bottom;\n"), ALL),
    "a macro": (edited("struct own {", "#define N 3\nstruct own {"), ALL),
    "a macro in a function": (edited(CALL, f"#define N 3\n{CALL}"), ALL),
    "a branch of the preprocessor": (
        edited("\tkvm_call_hyp_nvhe(__demo_flush, 1);\n",
               "#ifdef CONFIG_A\n\tkvm_call_hyp_nvhe(__demo_flush, 1);\n#endif\n"),
        {"aside"},
    ),
    # a function that can be undone owes what it acquired
    "an inverse": (
        TEXT + "\nvoid pool_destroy(u64 n)\n{\n}\n",
        {"pool_init", "pool_use", "pool_destroy", "low"},
    ),
    "no longer static": (edited("static int mid", "int mid"), {"low", "mid", "top"}),
}  # fmt: skip


@pytest.mark.parametrize("name", HOST_EDITS)
def test_host(project: Path, name: str) -> None:
    text, wanted = HOST_EDITS[name]
    found = chosen(project, own=text)
    assert found is not None
    assert found[OWN] == frozenset(wanted)
    assert not found.get(HOST)


def test_through_another_file(project: Path) -> None:
    more = "int far(u64 n)\n{\n\treturn low(n);\n}\n"
    base, _ = versions(project)
    texts = (TEXT, HOST_EDITS["what callers see"][0])
    codes = [
        Codebase(
            OverlaySources(base.sources, {OWN: text.encode(), MORE: more.encode()}),
            True,
            "/nowhere",
        )
        for text in texts
    ]
    found = affected(codes, Store(None))
    assert found is not None
    assert found == {OWN: frozenset(ABOVE_LOW), MORE: frozenset({"far"})}


def test_a_definition_elsewhere_makes_a_name_ambiguous(project: Path) -> None:
    found = chosen(project, more="int top(u64 n)\n{\n\treturn 0;\n}\n")
    assert found == {MORE: frozenset({"top"}), OWN: frozenset({"top", "mid"})}


def test_el2(project: Path) -> None:
    handlers = demo_text(project, HANDLERS)
    calm = edited(
        "\tcpu_reg(host_ctxt, 1) = __demo_set_limit(pages);", "\t__demo_set_limit(pages);", handlers
    )
    fails = edited(
        "\n\t__demo_flush(pfn);", "\n\tcpu_reg(host_ctxt, 1) = __demo_set_limit(pfn);", handlers
    )
    for text, own, lent in (
        (calm, ABOVE_LOW, {"lend_set_limit", "lend_set_limit_checked"}),
        (fails, {"aside", "field"}, {"lend_flush"}),
        (handlers + "\n/* The end. */\n", None, None),
    ):
        found = chosen(project, handlers=text)
        assert found is not None
        assert (found.get(OWN), found.get(HOST)) == (own, lent)
    gone = chosen(project, el2=None)  # __demo_set_limit() is in it
    assert gone is not None
    assert gone[OWN] == frozenset(ABOVE_LOW)
    moved = edited(
        "static hyp_spinlock_t", "/* Here. */\nstatic hyp_spinlock_t", demo_text(project, EL2)
    )
    assert chosen(project, el2=moved) == {EL2: frozenset()}


def test_anything_may_be_affected(project: Path) -> None:
    header = demo_text(project, HEADER)
    macro = "#define ask_el2(f, ...) kvm_call_hyp_nvhe(f, ##__VA_ARGS__)\n"
    assert chosen(project, header=edited("\n#else\n", f"\n{macro}\n#else\n", header)) is None
    assert chosen(project, header=f"/* A comment. */\n{header}") == {HEADER: frozenset()}
    conflict = "<<<<<<< ours\n=======\n>>>>>>> theirs\n"
    assert chosen(project, el2=conflict + demo_text(project, EL2)) is None
    assert chosen(project, el2=None, handlers=None) is None


def test_files_in_which_comments_speak_to_kvmlint_are_seen_whole(project: Path) -> None:
    marked = edited("/* Unlike top(). */", "/* kvmlint: allow ignored-return -- why */")
    found = chosen(project, own=marked)
    assert found is not None
    assert found[OWN] is None


def test_files_that_cannot_be_read_are_looked_at(project: Path) -> None:
    assert chosen(project, more="\0") == {MORE: frozenset()}
    first, second = versions(project, more="\0")
    assert affected([second, first], Store(None)) == {MORE: frozenset()}
    assert affected([second, *versions(project, more="\0\0")[1:]], Store(None)) == {
        MORE: frozenset()
    }


def test_found_out_once(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(None)
    text = HOST_EDITS["what callers see"][0]
    first = affected(versions(project, own=text), store)
    monkeypatch.setattr("kvmlint.affected._Affected.functions", lambda _: {"anew": None})
    assert affected(versions(project, own=text), store) == first
    assert affected(versions(project, own=TEXT), store) == {"anew": None}


@pytest.mark.parametrize(
    "broken", ["", "[]", "1", '{"a": 1}', '{"a": [1]}', "[" * 100_000, '{"a": "b"}']
)
def test_what_was_tampered_with_is_found_out_anew(
    project: Path, tmp_path: Path, broken: str
) -> None:
    file = tmp_path / "store"
    text = HOST_EDITS["what callers see"][0]
    store = Store(file)
    first = affected(versions(project, own=text), store)
    store.close()
    with sqlite3.connect(file) as base:
        assert base.execute("UPDATE result SET found = ?", (broken,)).rowcount == 1
    base.close()
    again = Store(file)
    assert affected(versions(project, own=text), again) == first
    again.close()


# --- the same outcome ----------------------------------------------------------------------------


def outcome(base: Sources, last: Sources, options: Options) -> Outcome:
    step = Step(Change("", "the change"), last, (HOST, OWN, EL2, HANDLERS, HEADER))
    series = Series(base, (step,), "/nowhere", whole=True)
    return examine(series, options, RULES, builtin(), Store(None))


ENTRY = SourceFile("/nowhere/.kvmlint.toml", b"[[suppress]]\n")
OPTIONS = {
    "findings": Options(min_level=Severity.NOTE, min_precision=Precision.LOW),
    "suppressed": Options(
        exemptions=(Exemption("arch/*", "lend_*", "ignored-return", "why", ENTRY, 1),)
    ),
}


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("name", [*SAME, *OTHER])
def test_the_same_outcome_as_with_everything(
    project: Path, monkeypatch: pytest.MonkeyPatch, name: str, options: str
) -> None:
    edit = {**SAME, **OTHER}[name]
    before, after = demo(project), demo(project, edit)
    for base, last in ((before, after), (after, before)):
        found = outcome(base, last, OPTIONS[options])
        with monkeypatch.context() as patch:
            patch.setattr("kvmlint.series.affected", lambda *_: None)
            everything = outcome(base, last, OPTIONS[options])
        assert found.diagnostics == everything.diagnostics
        assert found.notifications == everything.notifications
