"""The ledger of hypercalls: rows, uses, verdicts, formats, and what it says of EL2 in pieces."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from textwrap import dedent
from typing import Protocol

import pytest
from click.testing import CliRunner, Result

from kvmlint.audit import AuditError, arranged, audit, filter_of, keys_of
from kvmlint.cli import app
from kvmlint.report import Style
from kvmlint.report.ledger import FORMATS, Audit, Row, Use, render
from kvmlint.report.safe import width
from kvmlint.runner import Options
from kvmlint_rules import RULES

DEMO = Path(__file__).resolve().parent.parent / "fixtures" / "demo"
KVM = "arch/arm64/kvm"
HANDLERS = f"{KVM}/hyp/nvhe/hyp-main.c"

EL2 = """
    static u32 owner;

    static int door_claim(u32 id)
    {
            if (id > 31)
                    return -ERANGE;
            if (owner)
                    return -EBUSY;
            owner = id;
            return 0;
    }

    static void handle___door_claim(struct kvm_cpu_context *host_ctxt)
    {
            DECLARE_REG(u32, id, host_ctxt, 1);

            cpu_reg(host_ctxt, 1) = door_claim(id);
    }

    static void handle___door_count(struct kvm_cpu_context *host_ctxt)
    {
            cpu_reg(host_ctxt, 1) = owner;
    }

    static void handle___door_reset(struct kvm_cpu_context *host_ctxt)
    {
            owner = 0;
            cpu_reg(host_ctxt, 1) = 0;
    }

    static void handle___door_ring(struct kvm_cpu_context *host_ctxt)
    {
            owner++;
    }
"""
CLAIM = """
    int claim(u32 id)
    {
            return kvm_call_hyp_nvhe(__door_claim, id);
    }
"""


class Tree(Protocol):
    """Writes a tree: host C and, by default, the EL2 side above; other files by their path."""

    def __call__(self, host: str, el2: str | None = EL2, **more: str) -> Path: ...


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    def make(host: str, el2: str | None = EL2, **more: str) -> Path:
        texts = {f"{KVM}/door.c": host, **{f"{KVM}/{k}": v for k, v in more.items()}}
        if el2 is not None:
            texts[HANDLERS] = el2
        for path, text in texts.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(dedent(text))
        return tmp_path

    return make


def run(*paths: Path, hypercall: str = "") -> Audit:
    return audit([str(path) for path in paths], Options(), RULES, hypercall=hypercall)


def only(found: Audit) -> Row:
    (row,) = found.rows
    return row


def undecided(found: Audit) -> str:
    return "\n".join(n.message for n in found.notifications)


def command(*args: object) -> Result:
    return CliRunner().invoke(app, ["audit", *map(str, args)])


# --- rows -----------------------------------------------------------------------------------------


def test_the_demo() -> None:
    found = run(DEMO)
    assert [(r.function, r.hypercall, r.use, r.judged) for r in found.rows] == [
        ("lend_page", "__demo_host_share_page", Use.PROPAGATED, "missing-rollback"),
        ("lend_page_checked", "__demo_host_share_page", Use.UNDONE, "ok"),
        ("return_page", "__demo_host_unshare_page", Use.PROPAGATED, "premature-teardown"),
        ("return_page_checked", "__demo_host_unshare_page", Use.PROPAGATED, "ok"),
        ("lend_set_limit", "__demo_set_limit", Use.IGNORED, "ignored-return"),
        ("lend_set_limit_checked", "__demo_set_limit", Use.PROPAGATED, "ok"),
        ("lend_flush", "__demo_flush", Use.NOTHING, "nothing to handle"),
    ]
    lines = (DEMO / KVM / "lend.c").read_text().split("\n")
    for row in found.rows:
        assert f"kvm_call_hyp_nvhe({row.hypercall}" in lines[row.line - 1]
        assert (row.kind == "nothing") == (row.hypercall == "__demo_flush") == (not row.fallible)
        assert not row.assumed
    assert found.notifications == ()


def test_errnos_have_their_lines() -> None:
    row = run(DEMO).rows[0]
    assert set(row.names) == {"-EPERM", "-EBUSY"}
    for errno in row.errnos:
        text = (DEMO / errno.path).read_text().split("\n")[errno.line - 1]
        assert f"return {errno.name};" in text
        assert errno.chain == (
            "handle___demo_host_share_page", "__demo_host_share_page", "move_pages", "check_holder",
        )  # fmt: skip


USES = [
    ("return kvm_call_hyp_nvhe(__door_claim, id);", Use.PROPAGATED),
    ("int r = kvm_call_hyp_nvhe(__door_claim, id);\nreturn r ? -EIO : 0;", Use.PROPAGATED),
    ("int r = kvm_call_hyp_nvhe(__door_claim, id);\n*out = r;\nreturn 0;", Use.PROPAGATED),
    ("kvm_call_hyp_nvhe(__door_claim, id);\nreturn 0;", Use.IGNORED),
    ("(void)kvm_call_hyp_nvhe(__door_claim, id);\nreturn 0;", Use.IGNORED),
    ("int r = kvm_call_hyp_nvhe(__door_claim, id);\nr = 0;\nreturn r;", Use.IGNORED),
    ("WARN_ON(kvm_call_hyp_nvhe(__door_claim, id));\nreturn 0;", Use.WARNED),
    ("int r = kvm_call_hyp_nvhe(__door_claim, id);\nWARN_ON(r);\nreturn r;", Use.PROPAGATED),
    ("if (kvm_call_hyp_nvhe(__door_claim, id) == -EBUSY)\nbusy = 1;\nreturn 0;", Use.CHECKED),
    ("BUG_ON(kvm_call_hyp_nvhe(__door_claim, id));\nreturn 0;", Use.PANICS),
    ('if (kvm_call_hyp_nvhe(__door_claim, id))\npanic("door");\nreturn 0;', Use.PANICS),
    ("while (kvm_call_hyp_nvhe(__door_claim, id))\ncpu_relax();\nreturn 0;", Use.CHECKED),
    ("return kvm_call_hyp_nvhe(__door_count);", Use.DATA),
    ("kvm_call_hyp_nvhe(__door_count);\nreturn 0;", Use.NOTHING),
    ("kvm_call_hyp_nvhe(__door_ring);\nreturn 0;", Use.NOTHING),
    ("return kvm_call_hyp_nvhe(__door_reset);", Use.CHECKED),
    ("kvm_call_hyp_nvhe(__door_reset);\nreturn 0;", Use.NOTHING),
    (
        "void *p = kmalloc(8, GFP_KERNEL);\nint r;\nif (!p)\nreturn -ENOMEM;\n"
        "r = kvm_call_hyp_nvhe(__door_claim, id);\nif (r)\nkfree(p);\nelse\n*out = p;\nreturn r;",
        Use.UNDONE,
    ),
    (  # releasing a lock undoes nothing
        "int r;\nmutex_lock(&lock);\nr = kvm_call_hyp_nvhe(__door_claim, id);\n"
        "mutex_unlock(&lock);\nreturn r;",
        Use.PROPAGATED,
    ),
    (
        "struct arm_smccc_res res;\n"
        "arm_smccc_1_1_hvc(KVM_HOST_SMCCC_FUNC(__door_claim), id, &res);\nreturn res.a1;",
        Use.PROPAGATED,
    ),
    (  # only whether EL2 took the call at all
        "struct arm_smccc_res res;\n"
        "arm_smccc_1_1_hvc(KVM_HOST_SMCCC_FUNC(__door_claim), id, &res);\n"
        "WARN_ON(res.a0);\nreturn 0;",
        Use.WARNED,
    ),
]


@pytest.mark.parametrize(("body", "use"), USES)
def test_use(tree: Tree, body: str, use: Use) -> None:
    root = tree(f"static int busy;\nint f(u32 id, void **out)\n{{\n{body}\n}}\n")
    assert only(run(root)).use is use


def test_firmware_calls_and_macros_are_no_rows(tree: Tree) -> None:
    root = tree(
        """
        #define claim_door(f, ...) \\
                ({ int __r = kvm_call_hyp_nvhe(f, ##__VA_ARGS__); __r; })

        int f(u32 id)
        {
                arm_smccc_1_1_hvc(ARM_SMCCC_VERSION_FUNC_ID, &res);
                return claim_door(__door_claim, id);
        }
        """
    )
    row = only(run(root))
    assert (row.hypercall, row.function) == ("__door_claim", "f")


def test_both_branches_of_an_ifdef(tree: Tree) -> None:
    root = tree(
        """
        int f(u32 id)
        {
        #ifdef CONFIG_DOOR
                kvm_call_hyp_nvhe(__door_ring);
        #else
                kvm_call_hyp_nvhe(__door_claim, id);
        #endif
                return kvm_call_hyp_nvhe(__door_claim, id);
        }
        """
    )
    assert [(r.hypercall, r.use) for r in run(root).rows] == [
        ("__door_ring", Use.NOTHING),
        ("__door_claim", Use.IGNORED),
        ("__door_claim", Use.PROPAGATED),
    ]


def test_el2_has_no_sites(tree: Tree) -> None:
    assert run(tree(CLAIM) / HANDLERS).rows == ()


def test_a_function_with_too_many_paths_keeps_its_sites(tree: Tree) -> None:
    tests = "\n".join(f"if (a{i} > id)\nx{i}++;" for i in range(40))
    root = tree(
        f"int f(u32 id)\n{{\n{tests}\nkvm_call_hyp_nvhe(__door_claim, id);\n"
        + "\n".join(f"if (x{i})\nreturn -{i + 1};" for i in range(40))
        + "\nreturn 0;\n}\n"
    )
    found = run(root)
    row = only(found)
    assert (row.hypercall, row.use) == ("__door_claim", Use.UNKNOWN)
    assert "too many paths" in undecided(found)


# --- what could not be decided --------------------------------------------------------------------


def assumed(found: Audit, *said: str) -> None:
    """One row, assumed to be a fallible status, and each reason is given."""
    row = only(found)
    assert (row.kind, row.fallible, row.confidence) == ("status", True, "assumed")
    assert row.use is Use.PROPAGATED
    for text in said:
        assert text in undecided(found)
    assert not any(n.failed for n in found.notifications)


def test_a_tree_without_el2(tree: Tree) -> None:
    found = run(tree(CLAIM, el2=None))
    assumed(found, "no EL2 code")
    assert len(found.notifications) == 1


def test_a_table_of_handlers_in_another_shape(tree: Tree) -> None:
    el2 = """
        static int door_claim(u32 id)
        {
                return id > 31 ? -ERANGE : 0;
        }

        static const struct hcall_entry table[] = {
                { __KVM_HOST_SMCCC_FUNC___door_claim, door_claim },
                ENTRY(__door_claim, door_claim),
        };
    """
    assumed(run(tree(CLAIM, el2)), "__door_claim", "hyp-main.c names it")


def test_no_handler(tree: Tree) -> None:
    other = "int f(u32 id)\n{\n\treturn kvm_call_hyp_nvhe(__door_paint, id);\n}\n"
    assumed(run(tree(other)), "__door_paint", "EL2 has no function handle___door_paint()")


def test_a_half_applied_patch_at_el2(tree: Tree) -> None:
    el2 = dedent(EL2).replace(
        "        if (owner)\n                return -EBUSY;\n",
        "<<<<<<< HEAD\n        if (owner)\n                return -EBUSY;\n=======\n"
        "        owner = 0;\n>>>>>>> door: take over\n",
    )
    assert "<<<<" in el2
    line = el2[: el2.index("<<<<<<<")].count("\n") + 1
    assumed(run(tree(CLAIM, el2)), f"{HANDLERS}:{line}: a half-applied patch")


def test_a_half_applied_patch_in_the_host(tree: Tree) -> None:
    host = dedent(CLAIM) + "\n<<<<<<< HEAD\nint b;\n=======\nint c;\n>>>>>>> door: more\n"
    found = run(tree(host))
    assert only(found).use is Use.PROPAGATED
    assert "a half-applied patch" in undecided(found)


@pytest.mark.parametrize(
    "broken",
    [
        "cpu_reg(host_ctxt, 1) = door_claim(id;",
        "if (id > { cpu_reg(host_ctxt, 1) = door_claim(id);",
    ],
)
def test_a_parse_error_in_a_handler(tree: Tree, broken: str) -> None:
    el2 = dedent(EL2).replace("cpu_reg(host_ctxt, 1) = door_claim(id);", broken)
    assert broken in el2
    assumed(run(tree(CLAIM, el2)), "__door_claim is assumed to be able to fail", "hyp-main.c")


def test_a_parse_error_below_a_handler(tree: Tree) -> None:
    el2 = dedent(EL2).replace("return -EBUSY;", "return -EBUSY %% 3;")
    found = run(tree(CLAIM, el2))
    assumed(found, "door_claim(): not understood")


def test_other_handlers_are_not_touched_by_a_parse_error(tree: Tree) -> None:
    el2 = dedent(EL2).replace("owner = 0;\n", "owner = = 0;\n")
    assert only(run(tree(CLAIM, el2))).confidence == "proven"


def test_two_handlers_in_two_files(tree: Tree) -> None:
    other = "static void handle___door_claim(struct kvm_cpu_context *host_ctxt)\n{\n}\n"
    root = tree(CLAIM, EL2, **{"hyp/nvhe/door.c": other})
    assumed(run(root), "it has two handlers, in", "hyp-main.c", "door.c")


def test_two_handlers_in_one_file(tree: Tree) -> None:
    el2 = dedent(EL2) + "\nstatic void handle___door_claim(struct kvm_cpu_context *c)\n{\n}\n"
    assumed(run(tree(CLAIM, el2)), f"it has two handlers in {HANDLERS}")


def test_handlers_of_two_configurations_are_one(tree: Tree) -> None:
    other = "static void handle___door_claim(struct kvm_cpu_context *c)\n{\n}\n"
    head = "static void handle___door_claim"
    el2 = dedent(EL2).replace(head, f"#ifdef CONFIG_NO_DOOR\n{other}#else\n{head}")
    el2 = el2.replace("static void handle___door_count", "#endif\nstatic void handle___door_count")
    assert "two handlers" not in undecided(run(tree(CLAIM, el2)))


def test_a_path_that_is_not_there(tree: Tree) -> None:
    root = tree(CLAIM)
    result = command(root / KVM / "door.c", root / KVM / "gone.c")
    assert result.exit_code == 2
    assert "__door_claim" in result.stdout
    assert "gone.c" in result.stderr


# --- one hypercall --------------------------------------------------------------------------------


def test_one_hypercall(tree: Tree) -> None:
    two = CLAIM.replace("claim(u32", "other(u32") + "\nvoid ring(void)\n{\n\tring_bell();\n}\n"
    root = tree(CLAIM, EL2, **{"window.c": two})
    result = command("--tree", root, "--hypercall", "__door_claim")
    assert result.exit_code == 0, result.output
    line = (
        dedent(EL2)
        .split("\n")
        .index("static void handle___door_claim(struct kvm_cpu_context *host_ctxt)")
    )
    assert result.stdout.startswith(
        f"__door_claim: returns 0 or an errno (proven)\nhandler: {HANDLERS}:{line + 1}\n"
        "`- handle___door_claim()\n   `- door_claim()\n"
    )
    for name in ("-ERANGE", "-EBUSY"):
        at = next(i for i, text in enumerate(dedent(EL2).split("\n")) if f"return {name};" in text)
        assert f"- {name} {HANDLERS}:{at + 1}\n" in result.stdout
    assert "door.c" in result.stdout
    assert "window.c" in result.stdout


def test_what_is_called_twice_unfolds_once(tree: Tree) -> None:
    el2 = """
        static int deep(u32 id)
        {
                if (id > 31)
                        return -ERANGE;
                return 0;
        }

        static int middle(u32 id)
        {
                return deep(id);
        }

        static int left(u32 id)
        {
                return middle(id);
        }

        static int right(u32 id)
        {
                return middle(id + 1);
        }

        static int door_claim(u32 id)
        {
                return id & 1 ? left(id) : right(id);
        }

        static void handle___door_claim(struct kvm_cpu_context *host_ctxt)
        {
                DECLARE_REG(u32, id, host_ctxt, 1);

                cpu_reg(host_ctxt, 1) = door_claim(id);
        }
    """
    text = render("table", run(tree(CLAIM, el2), hypercall="__door_claim"), Style())
    assert text.count("middle()") == 2
    assert text.count("middle() (as above)") == 1
    assert text.count("-ERANGE arch") == 1


def test_an_unknown_hypercall(tree: Tree) -> None:
    root = tree(CLAIM)
    result = command(root, "--hypercall", "__door_clam")
    assert result.exit_code == 2
    assert "there is no hypercall '__door_clam'; did you mean '__door_claim'?" in result.stderr


def test_a_hypercall_that_no_host_code_uses(tree: Tree) -> None:
    found = run(tree(CLAIM), hypercall="__door_ring")
    assert found.rows == ()
    assert found.contract is not None
    assert "returns nothing" in render("table", found, Style())


# --- order, filters, formats ----------------------------------------------------------------------


def test_filters() -> None:
    found = run(DEMO)

    def kept(*texts: str) -> list[str]:
        return [r.function for r in arranged(found, [filter_of(t) for t in texts], ()).rows]

    assert kept("kind=nothing") == ["lend_flush"]
    assert kept("hypercall=__demo_host_*", "verdict=ok") == [
        "lend_page_checked", "return_page_checked",
    ]  # fmt: skip
    assert kept("use=ignored,nothing") == ["lend_set_limit", "lend_flush"]
    assert kept("verdict!=ok,nothing*") == ["lend_page", "return_page", "lend_set_limit"]
    assert kept("file=*/gone.c") == []
    for bad in ("kind", "colour=red", "=x", "kind=", "use>ignored"):
        with pytest.raises(AuditError):
            filter_of(bad)


def test_sort() -> None:
    rows = arranged(run(DEMO), [], keys_of("use,function")).rows
    assert [(r.use.value, r.function) for r in rows] == sorted(
        (r.use.value, r.function) for r in rows
    )
    with pytest.raises(AuditError, match="did you mean 'kind'"):
        keys_of("kinds")


@pytest.mark.parametrize(
    "args", [(), (DEMO, "--sort", "colour"), (DEMO, "--filter", "x=y"), (DEMO, "--format", "xml")]
)
def test_wrong_usage(args: tuple[object, ...]) -> None:
    result = command(*args)
    assert result.exit_code == 2
    assert result.stdout == ""


@pytest.mark.parametrize("cells", [60, 80, 100, 140, 250])
def test_the_table_fits(cells: int) -> None:
    text = render("table", run(DEMO), Style(width=cells))
    assert all(width(line) <= cells for line in text.split("\n"))
    table = text.split("\n\n")[0].split("\n")
    assert len(table) == 2 + 7
    assert ("confidence" in table[1]) == (cells >= 140)
    assert ("mem.c:" in table[2]) == (cells == 250)
    if cells >= 100:
        assert "missing-rollback" in table[2]
        assert "__demo_host_share_page" in table[2]
        assert "-EPERM" in table[2]


def test_totals() -> None:
    text = render("table", run(DEMO), Style())
    assert text.endswith(
        "7 sites of 4 hypercalls in 1 file: 6 can fail, 3 with findings\n"
        "use: 1 ignored, 1 checked and undone, 4 propagated, 1 nothing\n"
    )


def test_color_is_only_where_it_was_asked_for() -> None:
    assert "\x1b" not in render("table", run(DEMO), Style())
    assert "\x1b[1m" in render("table", run(DEMO), Style(color=True))


def test_json(tree: Tree) -> None:
    log = json.loads(render("json", run(tree(CLAIM), hypercall="__door_claim"), Style()))
    (site,) = log["sites"]
    assert site["path"] == f"{KVM}/door.c"
    assert (site["kind"], site["use"], site["rules"]) == ("status", "propagated", [])
    assert {errno["name"] for errno in site["errnos"]} == {"-ERANGE", "-EBUSY"}
    assert site["errnos"][0]["chain"] == ["handle___door_claim", "door_claim"]
    assert log["hypercall"]["handler"]["path"] == HANDLERS
    assert log["totals"]["use"] == {"propagated": 1}
    assert log["notifications"] == []


def test_csv() -> None:
    found = run(DEMO)
    rows = list(csv.DictReader(io.StringIO(render("csv", found, Style()))))
    assert [(row["file"], int(row["line"]), row["verdict"]) for row in rows] == [
        (row.path, row.line, row.judged) for row in found.rows
    ]


def test_csv_says_the_rest_on_stderr(tree: Tree) -> None:
    result = command(tree(CLAIM, el2=None), "--format", "csv")
    assert result.exit_code == 0
    assert len(result.stdout.strip().split("\n")) == 2
    assert "no EL2 code" in result.stderr


def test_markdown(tree: Tree) -> None:
    text = render("markdown", run(tree(CLAIM, el2=None)), Style())
    table = [line for line in text.split("\n") if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in table}) == 1
    assert "\\_\\_door\\_claim" in table[2]
    assert "- no EL2 code was found" in text


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_in_no_rows(tree: Tree, form: str) -> None:
    result = command(tree("int x;\n"), "--format", form)
    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout.endswith("\n")


def test_output_file(tmp_path: Path) -> None:
    file = tmp_path / "ledger.md"
    result = command(DEMO, "--format", "markdown", "-o", file)
    assert (result.exit_code, result.stdout) == (0, "")
    assert file.read_text().startswith("| site |")


def test_terminals_are_safe_from_names(tree: Tree) -> None:
    root = tree("int x;\n", **{"\x1b[31m.c": CLAIM})
    for form in FORMATS:
        assert "\x1b" not in command(root, "--format", form).stdout
