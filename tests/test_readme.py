"""What README.md shows is so: its examples do what the text around them says, its links lead on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str, word: str) -> str:
    """The one code block of a language that contains a word."""
    blocks: list[str] = re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    (found,) = (text for text in blocks if word in text)
    return found


def said(file: Path) -> tuple[int, str]:
    """Exit status and standard output of kvmlint on a file."""
    done = subprocess.run(
        [sys.executable, "-m", "kvmlint", str(file)],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'analyzer'}{os.pathsep}{ROOT / 'rules'}"},
        check=False,
    )
    assert not done.stderr
    return done.returncode, done.stdout.decode()


def test_knowledge(tmp_path: Path) -> None:
    file = tmp_path / "lend.c"
    file.write_text(block("c", "ticket_new"), encoding="utf-8")
    assert said(file) == (0, "")
    (tmp_path / ".kvmlint.toml").write_text(block("toml", "ticket_new"), encoding="utf-8")
    status, out = said(file)
    assert status == 1
    assert "[missing-rollback]" in out
    assert "  would undo it: ticket_put(t);" in out.splitlines()


def test_suppression(tmp_path: Path) -> None:
    file = tmp_path / "limit.c"
    text = block("c", "kvmlint: allow")
    file.write_text(text, encoding="utf-8")
    assert said(file) == (0, "")
    file.write_text(text.replace("kvmlint: allow", "once more:"), encoding="utf-8")
    status, out = said(file)
    assert (status, out.count("[ignored-return]")) == (1, 1)


def test_links_and_files_exist() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", TEXT)
    named = re.findall(r"`((?:analyzer|rules)/[\w/]+\.py)`", TEXT)
    wrong = [name for name in (*links, *named) if not (ROOT / name).is_file()]
    assert wrong == ["rules/kvmlint_rules/your_rule.py"]  # the one that the reader will write
    assert len(links) >= 4


def test_commands_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    shown = set(re.findall(r"(?:^|`)make ([a-z-]+)", TEXT, re.MULTILINE))
    assert {"demo", "test", "readme"} <= shown <= targets
