"""Answers to the questions of a trace: whether what something was made from is still the same."""

from __future__ import annotations

from kvmlint.codebase import Codebase
from kvmlint.trace import Question


def answer(code: Codebase, question: Question) -> str:
    """The answer that a codebase gives today, as a text to be compared. ValueError: no question
    that kvmlint asks."""
    found = code.answers.get(question)
    if found is None:
        found = code.answers[question] = _answer(code, question)
    return found


def _answer(code: Codebase, question: Question) -> str:
    match question:
        case ("file", path):
            return code.blob(path)
        case ("resolve", path, name):
            return code.program.index.resolve(path, name) or ""
        case ("callers", path, name):
            sites = code.program.index.callers(path, name)
            return "\0".join(f"{where}\0{caller}" for where, caller in sites)
        case ("may reach", path, function):
            return str(code.program.may_reach(path, function))
        case ("el2", function):
            return code.program.tree.el2_file(function) or ""
        case ("el2 at all",):
            return str(code.program.tree.has_el2)
        case ("handlers", handler):
            return "\0".join(code.program.tree.files_handling(handler))
        case ("conflicts",):
            return repr(sorted(code.program.tree.conflicts.items()))
        case ("entries",):
            return repr(code.program.knowledge.tables.entries)
        case _:
            raise ValueError(f"not a question: {question}")
