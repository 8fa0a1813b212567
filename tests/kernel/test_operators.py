"""The operators that edits are made of."""

from __future__ import annotations

import pytest
from tests.kernel.operators import (
    EditError,
    Step,
    above,
    after,
    bare,
    before,
    declare,
    delete,
    drop_next,
    everywhere,
    in_next,
    instead,
    move_above,
    replace,
    unwrap,
)

TEXT = """\
/* f(x) { */
#define f(x) { x

int g(void);

/* Does it. */
static int f(int *p, struct list *l)
{
	int ret;

	first(p); /* call(p) */
	ret = call(p,
		   l);
	if (ret)
		goto out;

	for_each(p, l) {
		WARN_ON(undo(p, "goto out;"));
		if (p)
			stop(p);
		else
			go(p);
	}

	list_walk(p)
		last(p);
out:
	leave(p);
	return ret;
}
"""

CASES: dict[str, tuple[Step, str, str]] = {
    "delete": (delete("first(p)"), "	first(p); /* call(p) */\n", ""),
    "delete lines": (delete("call(p,"), "	ret = call(p,\n		   l);\n", ""),
    "delete a body": (delete("stop(p)"), "stop(p);", ";"),
    "delete an if": (delete("if (ret)"), "	if (ret)\n		goto out;\n", ""),
    "delete a label": (delete("out:"), "out:\n	leave", "	leave"),
    "before": (
        before("call(p,", "a();\nb();"),
        "	ret = call",
        "	a();\n	b();\n	ret = call",
    ),
    "before a label": (before("out:", "a();"), "out:", "	a();\nout:"),
    "after": (after("call(p,", "if (x)\n\ty();"), "l);\n", "l);\n	if (x)\n		y();\n"),
    "after a body": (
        after("go(p)", "a();"),
        "			go(p);",
        "			{\n			go(p);\n			a();\n			}",
    ),
    "declare": (declare("int x;"), "	int ret;", "	int x;\n	int ret;"),
    "replace": (replace("if (p)", "if (!p)"), "if (p)", "if (!p)"),
    "instead": (instead("leave(p)", "a();\nb();"), "	leave(p);\n", "	a();\n	b();\n"),
    "instead of a body": (
        instead("last(p)", "a();"),
        "		last(p);",
        "		{\n		a();\n		}",
    ),
    "bare": (bare("call(p,"), "ret = call", "call"),
    "unwrap": (
        unwrap("WARN_ON", "undo(p"),
        'WARN_ON(undo(p, "goto out;"))',
        'undo(p, "goto out;")',
    ),
    "drop_next": (drop_next("call(p,"), "	if (ret)\n		goto out;\n", ""),
    "drop_next in a loop": (
        drop_next("undo(p"),
        "		if (p)\n			stop(p);\n		else\n			go(p);\n",
        "",
    ),
    "in_next": (
        in_next("call(p,", "goto out", "return 1"),
        "		goto out;\n",
        "		return 1;\n",
    ),
    "everywhere": (
        everywhere("out", "end"),
        "		goto out;\n",
        "		goto end;\n",
    ),
    "above": (above("int h;"), "/* Does it. */\nstatic", "/* Does it. */\nint h;\n\nstatic"),
}


@pytest.mark.parametrize("case", CASES)
def test_operator(case: str) -> None:
    step, old, new = CASES[case]
    assert TEXT.count(old) == 1
    want = TEXT.replace(old, new)
    if case == "everywhere":
        want = want.replace("\nout:", "\nend:")
    assert step(TEXT, "f") == want


def test_move() -> None:
    got = move_above("leave(p)", "first(p)")(TEXT, "f")
    assert "	leave(p);\n	first(p);" in got
    assert got.count("leave(p)") == 1


@pytest.mark.parametrize(
    "step",
    [
        delete("nothing(p)"),
        delete("(p)"),  # several
        delete('"goto out;"'),  # in a string
        bare("first(p)"),
        unwrap("WARN_ON", "first(p)"),
        in_next("call(p,", "goto in", "return 1"),
        drop_next("return ret"),
        drop_next("stop(p)"),
        everywhere("nothing", "x"),
    ],
    ids=lambda step: "",
)
def test_misfit(step: Step) -> None:
    with pytest.raises(EditError):
        step(TEXT, "f")


def test_no_function() -> None:
    with pytest.raises(EditError, match=r"0 definitions of g\(\)"):
        delete("x")(TEXT, "g")
