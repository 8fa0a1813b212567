"""``kvmlint b4``: one mailed patch, checked as b4 asks its per-patch commands to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from kvmlint import __version__
from kvmlint.commands import catalogue
from kvmlint.commands.cache import store_for
from kvmlint.commands.options import chosen, config_for, mended_by_the_user
from kvmlint.commands.patch import examined, texts
from kvmlint.console import CLEAN, PLAIN_WIDTH, write
from kvmlint.report import Report, Style, render
from kvmlint.report.safe import safe

if TYPE_CHECKING:
    from kvmlint.diagnostic import Diagnostic
    from kvmlint.series import Outcome


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For b4.review-perpatch-check-cmd.")
def b4(as_json: bool) -> None:
    """Check the mailed patch on standard input, for b4.

    \b
    git config --add b4.prep-perpatch-check-cmd "kvmlint b4"
    git config --add b4.review-perpatch-check-cmd "kvmlint b4 --json"

    Prints a line for each finding that the patch brings ('ERROR:' in it makes b4 fail the patch,
    others warn), and nothing for a clean patch. A patch that can't be checked is a warning. Nothing
    goes to standard error, where b4 takes every line for a failure, and the exit status is 0.
    Setting prep-perpatch-check-cmd replaces b4's own call of checkpatch: name that as well.
    """
    problem = ""
    found: Outcome | None = None
    try:
        found, problem = _examined()
    except click.ClickException as error:
        problem = error.message
    new = [d for d in found.diagnostics if d.origin is not None and d.origin.new] if found else []
    write(_json(found, new, problem) if as_json else _lines(found, new, problem), None, CLEAN)
    click.get_current_context().exit(CLEAN)


def _examined() -> tuple[Outcome | None, str]:
    """What the patch brings; None when there is no patch in the mail. Raises ClickException."""
    from kvmlint.mails import MailError, NoPatchError, read

    try:
        mails = read(texts(("-",)))
    except NoPatchError:
        return None, ""  # a cover letter
    except MailError as error:
        return None, str(error)
    with mended_by_the_user(), store_for(no_cache=False) as store:
        config = config_for(".")
        found, problem = examined(mails, None, config, chosen(config, None), store)
    failed = [f"{n.path}: {n.message}" for n in found.notifications if n.failed]
    return found, "; ".join([*([problem] if problem else []), *failed])


def _report(form: str, found: Outcome, new: list[Diagnostic]) -> str:
    report = Report(tuple(new), (), catalogue.infos(), found.root, __version__, found.files)
    return render(form, report, Style(color=False, width=PLAIN_WIDTH, notifications=False))


def _unchecked(problem: str) -> str:
    """One line that b4 takes for a warning, whatever is in it."""
    text = safe(" ".join(problem.split())).replace("ERROR:", "error:")
    return f"kvmlint: not checked: {text}"


def _lines(found: Outcome | None, new: list[Diagnostic], problem: str) -> str:
    text = _report("terse", found, new) if found is not None and new else ""
    return text + (f"{_unchecked(problem)}\n" if problem else "")


def _json(found: Outcome | None, new: list[Diagnostic], problem: str) -> str:
    """A list of one result (b4's documentation, 'review' checks)."""
    errors = sum(d.severity.value == "error" for d in new)
    others = len(new) - errors
    status = "fail" if errors else "warn" if others or problem else "pass"
    parts = [
        f"{count} {word}{'s' if count != 1 else ''}"
        for count, word in ((errors, "error"), (others, "warning"))
        if count
    ]
    summary = ", ".join(parts) or (_unchecked(problem) if problem else "nothing found")
    details = _report("text", found, new) if found is not None and new else ""
    result = {
        "tool": "kvmlint",
        "status": status,
        "summary": summary,
        "url": "",
        "details": details + (f"{_unchecked(problem)}\n" if problem and new else ""),
    }
    return json.dumps([result], ensure_ascii=False) + "\n"
