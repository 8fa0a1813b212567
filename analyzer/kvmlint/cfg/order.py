"""In which order blocks are worked through: a block after those before it, a loop's blocks before
whatever comes after the loop, so that all that its turns may leave is known there.

This is a weak topological order (Bourdoncle, Efficient chaotic iteration strategies with widenings,
1993) of a graph with natural loops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def rank_blocks(
    successors: Sequence[Sequence[int]], entry: int, loops: Mapping[int, frozenset[int]]
) -> tuple[int, ...]:
    """The rank of each block, 0 for ``entry``; that of an unreachable block is the number of
    blocks. ``loops`` are the bodies of natural loops (head included) by head."""
    rank = _reverse_postorder(successors, entry)
    return _loops_first(successors, entry, loops, rank) if loops else rank


def _reverse_postorder(successors: Sequence[Sequence[int]], entry: int) -> tuple[int, ...]:
    seen: set[int] = {entry}
    postorder: list[int] = []
    stack: list[tuple[int, int]] = [(entry, 0)]
    while stack:
        block, at = stack.pop()
        if at < len(successors[block]):
            stack.append((block, at + 1))
            target = successors[block][at]
            if target not in seen:
                seen.add(target)
                stack.append((target, 0))
        else:
            postorder.append(block)
    rank = [len(successors)] * len(successors)
    for place, block in enumerate(reversed(postorder)):
        rank[block] = place
    return tuple(rank)


def _loops_first(
    successors: Sequence[Sequence[int]],
    entry: int,
    loops: Mapping[int, frozenset[int]],
    rank: tuple[int, ...],
) -> tuple[int, ...]:
    """The same as a topological order of the edges that lead forward, in which a loop that was
    begun is finished before anything else is taken."""
    ahead = [[t for t in targets if rank[t] > rank[b]] for b, targets in enumerate(successors)]
    waits = [0] * len(rank)
    for block, targets in enumerate(ahead):
        if rank[block] < len(rank):
            for target in targets:
                waits[target] += 1
    around: list[list[int]] = [[] for _ in rank]
    for head, body in loops.items():
        for block in body:
            around[block].append(head)
    left = {head: len(body) for head, body in loops.items()}
    placed = [len(rank)] * len(rank)
    begun: list[int] = []
    ready = [entry]
    place = 0
    while ready:
        while begun and not left[begun[-1]]:
            begun.pop()
        inside = [block for block in ready if begun and begun[-1] in around[block]]
        block = min(inside or ready, key=lambda block: rank[block])
        ready.remove(block)
        placed[block] = place
        place += 1
        for head in around[block]:
            left[head] -= 1
        if block in left:
            begun.append(block)
        for target in ahead[block]:
            waits[target] -= 1
            if not waits[target]:
                ready.append(target)
    return tuple(placed)
