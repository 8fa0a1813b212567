"""The gcc shape, read by the editors that it is for: vim's and emacs' own defaults."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from kvmlint.diagnostic import Diagnostic, Errno, Note, Notification, Precision, Severity
from kvmlint.report import Report, Style, render
from kvmlint.source import Span


def note(path: str, line: int, message: str) -> Note:
    return Note(Span(path, line, 2, line, 9), "x;", message)


FINDING = Diagnostic(
    rule="missing-rollback",
    severity=Severity.ERROR,
    precision=Precision.HIGH,
    span=Span("kvm/lend.c", 50, 8, 51, 12),
    text="ret = f();",
    function="lend",
    hypercall="__lend",
    message="node stays behind: a, b",
    steps=(note("kvm/lend.c", 9, "memory obtained"), note("virt/main.c", 12, "returns")),
    errnos=(Errno("-EPERM", note("hyp/mem.c", 59, "refused")), Errno("-ENOMEM", None)),
    related=(note("kvm/lend.c", 99, "called from here"),),
)
WARNING = replace(
    FINDING, severity=Severity.WARNING, rule="ignored-return", steps=(), errnos=(), related=()
)
AWKWARD = (
    replace(WARNING, message='odd "kvm/lend.c" 7: quoted'),
    replace(WARNING, message="(kvm/main.c:3): 4"),
    replace(WARNING, message="In file included from x.c:3:"),
    replace(WARNING, span=Span("a-b_c+d/e,f.c", 1, 1, 1, 2), message="x"),
)


def gcc(*diagnostics: Diagnostic, root: str = "/tree", style: Style | None = None) -> str:
    return render("gcc", Report(diagnostics, (), (), root, "0.1.0"), style or Style())


def test_everything() -> None:
    assert gcc(FINDING, WARNING) == (
        "kvmlint: Entering directory '/tree'\n"
        "kvm/lend.c:50:8: error: node stays behind: a, b [missing-rollback]\n"
        "kvm/lend.c:9:2: note: 1: memory obtained\n"
        "virt/main.c:12:2: note: 2: returns\n"
        "hyp/mem.c:59:2: note: -EPERM comes from here\n"
        "kvm/lend.c:99:2: note: called from here\n"
        "kvm/lend.c:50:8: warning: node stays behind: a, b [ignored-return]\n"
        "kvmlint: Leaving directory '/tree'\n"
    )


def test_clean_is_silent() -> None:
    assert gcc() == ""
    assert gcc(style=Style(notifications=True)) == ""


def test_suppressed_is_one_note() -> None:
    lines = gcc(replace(FINDING, suppression="on purpose")).splitlines()
    assert lines[1:-1] == [
        "kvm/lend.c:50:8: note: suppressed: node stays behind: a, b [missing-rollback]"
        " -- on purpose"
    ]
    where = Span(".kvmlint.toml", 4, 1, 4, 13)
    allowed = gcc(replace(FINDING, suppression="on purpose", allowed=where)).splitlines()
    assert allowed[1:-1] == [lines[1], ".kvmlint.toml:4:1: note: allowed here"]


def test_notifications_on_request() -> None:
    skipped = (
        Notification("a.c", "budget spent", Span("a.c", 7, 3, 7, 4), "walker"),
        Notification("b.c", "binary file"),
        Notification("gone.c", "no such file", failed=True),
    )
    report = Report((), skipped, (), "/tree", "0.1.0")
    assert render("gcc", report, Style()) == ""
    assert render("gcc", report, Style(notifications=True)).splitlines()[1:-1] == [
        "a.c:7:3: note: not analysed: budget spent",
        "b.c:1:1: note: not analysed: binary file",
    ]


# --- the editors ----------------------------------------------------------------------------------

EXPECTED = [
    ("kvm/lend.c", 50, 8, "error: node stays behind: a, b [missing-rollback]"),
    ("kvm/lend.c", 9, 2, "note: 1: memory obtained"),
    ("virt/main.c", 12, 2, "note: 2: returns"),
    ("hyp/mem.c", 59, 2, "note: -EPERM comes from here"),
    ("kvm/lend.c", 99, 2, "note: called from here"),
    ("kvm/lend.c", 50, 8, "warning: node stays behind: a, b [ignored-return]"),
    ("kvm/lend.c", 50, 8, "warning: odd 'kvm/lend.c' 7: quoted [ignored-return]"),
    ("kvm/lend.c", 50, 8, "warning: (kvm/main.c:3): 4 [ignored-return]"),
    ("kvm/lend.c", 50, 8, "warning: In file included from x.c:3: [ignored-return]"),
    ("a-b_c+d/e,f.c", 1, 1, "warning: x [ignored-return]"),
]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with a file 'errors', and the files that it names in a folder 'tree' beside it."""
    root = tmp_path / "tree"
    for path, *_ in EXPECTED:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    text = gcc(FINDING, WARNING, *AWKWARD, root=str(root))
    (tmp_path / "errors").write_text(text, encoding="utf-8")
    return root


def editor(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(folder: Path, *command: str) -> None:
    # Somewhere else than in the tree, with nobody's settings.
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8"}
    subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        check=True,
        timeout=60,
        capture_output=True,
    )


VIM = """\
cgetfile errors
let out = []
for e in getqflist()
  if e.valid
    let name = fnamemodify(bufname(e.bufnr), ':p')
    call add(out, json_encode([name, e.lnum, e.col, trim(e.text)]))
  endif
endfor
call writefile(out, 'out')
qall!
"""


def test_vim_reads_it_with_its_default_errorformat(tree: Path) -> None:
    vim = editor("vim")
    folder = tree.parent
    (folder / "script.vim").write_text(VIM)
    run(folder, vim, "-es", "-N", "-u", "NONE", "-i", "NONE", "-S", "script.vim")
    entries = [json.loads(line) for line in (folder / "out").read_text().splitlines()]
    assert entries == [[str(tree / path), *rest] for path, *rest in EXPECTED]


EMACS = """\
(require 'compile)
(find-file "errors")
(compilation-mode)
(compilation--ensure-parse (point-max))
(let ((pos (point-min)) out)
  (while (setq pos (next-single-property-change pos 'compilation-message))
    (let ((m (get-text-property pos 'compilation-message)))
      (when (and m (compilation--message->loc m))
        (let* ((loc (compilation--message->loc m))
               (file (car (compilation--loc->file-struct loc))))
          (when (car file)
            (push (format "%s|%s|%s|%s" (expand-file-name (car file) (cadr file))
                          (compilation--loc->line loc) (compilation--loc->col loc)
                          (compilation--message->type m))
                  out))))))
  (with-temp-file "out" (insert (mapconcat #'identity (nreverse out) "\\n"))))
"""
TYPES = {"error": "2", "warning": "1", "note": "0"}


def test_emacs_reads_it_with_its_default_patterns(tree: Path) -> None:
    emacs = editor("emacs")
    folder = tree.parent
    (folder / "script.el").write_text(EMACS)
    run(folder, emacs, "--batch", "-Q", "-l", "script.el")
    assert (folder / "out").read_text().splitlines() == [
        f"{tree / path}|{line}|{column}|{TYPES[text.partition(':')[0]]}"
        for path, line, column, text in EXPECTED
    ]
