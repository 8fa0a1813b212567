"""All edits, and the names by which they are known."""

from __future__ import annotations

from tests.kernel.demo_edits import BREAK_DEMO, KEEP_DEMO
from tests.kernel.edit import Edit, Version
from tests.kernel.host_edits import BREAK_HOST, KEEP_HOST
from tests.kernel.mmu_edits import MMU
from tests.kernel.mmu_kept import MMU_KEPT
from tests.kernel.mmu_versions import VERSIONS
from tests.kernel.more_edits import MORE

BREAKING: tuple[Edit, ...] = (*BREAK_DEMO, *BREAK_HOST, *MMU, *MORE)
PRESERVING: tuple[Edit, ...] = (*KEEP_DEMO, *KEEP_HOST, *MMU_KEPT)

SUBJECTS: dict[str, Edit | Version] = {
    **{f"corrected-{name}": version for name, version in VERSIONS.items()},
    **{f"breaking-{edit}": edit for edit in BREAKING},
    **{f"preserving-{edit}": edit for edit in PRESERVING},
}


def tree_of(subject: Edit | Version) -> str:
    """The tree that a subject is about: 'kernel' or 'demo'."""
    return subject.tree if isinstance(subject, Version) else subject.version.tree
