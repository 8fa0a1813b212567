"""A kernel tree: which file holds what."""

from __future__ import annotations

from pathlib import Path

from kvmlint.knowledge import builtin
from kvmlint.source import FolderSources, OverlaySources
from kvmlint.tree.tree import Tree

EL2 = "arch/arm64/kvm/hyp/nvhe/mem.c"
HEADER = "arch/arm64/kvm/hyp/include/nvhe/demo.h"
OTHER = "arch/arm64/kvm/hyp/nvhe/other.c"

STUB = b"""\
#ifdef CONFIG_DEMO
int __demo_set_limit(u64 pages);
#else
static inline int __demo_set_limit(u64 pages)
{
	return -ENODEV;
}
#endif
static inline u64 demo_pages(void)
{
	return 3;
}
"""
LOCAL = b"""\
static int __demo_set_limit(u64 pages)
{
	return 0;
}
"""


def test_what_is_linked_comes_before_a_headers_stub(project: Path) -> None:
    base = FolderSources(project / "fixtures/demo")
    for added in ({HEADER: STUB}, {HEADER: STUB, OTHER: LOCAL}, {OTHER: LOCAL}):
        tree = Tree(OverlaySources(base, added), builtin(), whole=True)
        assert tree.el2_file("__demo_set_limit") == EL2
        assert tree.el2_file("demo_pages") == (HEADER if HEADER in added else None)
        assert tree.el2_file("unheard_of") is None
