"""What an edit is, and the versions of a file that edits start from."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.kernel.operators import Step

IGNORED = "ignored-return"
ROLLBACK = "missing-rollback"
TEARDOWN = "premature-teardown"
BATCH = "partial-batch"
UNCHECKED = "unchecked-return"
SWALLOWED = "swallowed-failure"
UPDATE = "update-after-failure"
RELEASE = "release-after-failed-reclaim"
LOCK = "lock-held-on-failure"
NARROWED = "narrowed-return"


@dataclass(frozen=True, slots=True)
class Version:
    """A file as a tree has it (``tree``: 'kernel' or 'demo'), with some functions corrected."""

    tree: str
    path: str
    fixes: tuple[tuple[str, tuple[Step, ...]], ...] = field(default=(), repr=False)

    def but(self, function: str, *steps: Step) -> Version:
        """The same, one function corrected in another way (or for the first time)."""
        kept = tuple(fix for fix in self.fixes if fix[0] != function)
        return Version(self.tree, self.path, (*kept, (function, steps)))

    def apply(self, text: str) -> str:
        """The text of the file with its corrections."""
        for function, steps in self.fixes:
            for step in steps:
                text = step(text, function)
        return text


@dataclass(frozen=True, slots=True)
class Edit:
    """Steps on one function of a version.

    ``rules`` are those of which one must report the edited function (or ``where``) for one of
    ``hypercalls``; with none, nothing new may be reported anywhere in the file. ``el2``: the edit
    is made in this other file of the tree.
    """

    name: str
    version: Version
    function: str
    steps: tuple[Step, ...] = field(repr=False)
    rules: frozenset[str] = frozenset()
    hypercalls: frozenset[str] = frozenset()
    where: str = ""
    el2: str = ""

    def __str__(self) -> str:
        return f"{self.version.tree}-{self.where or self.function}-{self.name}"

    def apply(self, text: str) -> str:
        """The edited text of a file that ``version.apply`` has corrected (or of ``el2``)."""
        for step in self.steps:
            text = step(text, self.function)
        return text


@dataclass(frozen=True, slots=True)
class Target:
    """A function of a version, and the hypercalls (separated by blanks) that edits are about."""

    version: Version
    function: str
    hypercalls: str

    def bad(self, name: str, rules: str, *steps: Step) -> Edit:
        """An edit that one of the rules (separated by blanks) must report."""
        wanted, about = frozenset(rules.split()), frozenset(self.hypercalls.split())
        return Edit(name, self.version, self.function, steps, wanted, about)

    def good(self, name: str, *steps: Step) -> Edit:
        """An edit that changes nothing that matters."""
        return Edit(name, self.version, self.function, steps)
