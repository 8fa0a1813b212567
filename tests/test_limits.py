"""docs/limits.md lists what the code marks, all of it, and is up to date."""

from __future__ import annotations

import re
import subprocess

from tests.limits import PAGE, ROOT, Mark, collect, marks, page


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(collect(ROOT)), (
        "docs/limits.md is out of date: make readme"
    )


SOURCE = '''\
"""A module. It guesses (IMPRECISE). It is short.

UNSOUND: a paragraph
of two lines.

Not of it.
"""


def f():
    # UNSOUND: one line,
    # and another.
    x = 1  # not of it
    y = "# UNSOUND: no comment"  # IMPRECISE: behind code.
    # not of it
    return x, y


# Some words. UNSOUND: to the
# end. And on.
#
# Not of it.
'''


def test_what_belongs_to_a_mark() -> None:
    assert [(m.kind, m.text) for m in marks("a.py", SOURCE)] == [
        ("IMPRECISE", "It guesses."),
        ("UNSOUND", "a paragraph of two lines."),
        ("UNSOUND", "one line, and another."),
        ("IMPRECISE", "behind code."),
        ("UNSOUND", "to the end. And on."),
    ]


def test_a_table() -> None:
    text = "# IMPRECISE: a row.\n# More.\n[family.x]\n# UNSOUND: 1\nmake = '# UNSOUND: 2'\n"
    assert list(marks("a.toml", text)) == [
        Mark("IMPRECISE", "a.toml", "a row. More."),
        Mark("UNSOUND", "a.toml", "1"),
    ]


def test_no_mark_is_written_so_that_it_is_not_found() -> None:
    words = re.compile(rb"(?:UNSOUND|IMPRECISE)\b")
    listed = subprocess.run(
        (
            "git",
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
            "analyzer",
            "rules",
        ),
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.split(b"\0")
    files = [ROOT / name.decode() for name in listed if name]
    assert len(files) > 50
    written = sum(len(words.findall(f.read_bytes())) for f in files if f.is_file())
    assert written == len(collect(ROOT)) > 0
