"""What a run looked at: of what it may say that nothing is to be found there any more."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scope:
    """``files`` were analysed, ``folders`` as a whole ('.' is the root of all paths). ``unsure``
    are the paths of which a part was not analysed. ``known`` are the rules that there are, ``ran``
    those that were asked, those about suppressions among them."""

    known: frozenset[str] = frozenset()
    ran: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    folders: tuple[str, ...] = ()
    unsure: frozenset[str] = frozenset()

    def asked(self, rule: str) -> bool:
        """Whether a rule would have said something; one that is gone never will."""
        return rule in self.ran or rule not in self.known

    def covers(self, path: str) -> bool:
        """Whether all of a file was analysed, or there is no such file in a folder that was."""
        if path in self.unsure:
            return False
        return path in self.files or (path.endswith(".c") and self.spans(path))

    def spans(self, path: str) -> bool:
        """Whether a path lies in a folder that was analysed as a whole."""
        if path.startswith(("../", "/")) or path == "..":
            return False
        return any(
            folder == "." or path == folder or path.startswith(f"{folder}/")
            for folder in self.folders
        )
