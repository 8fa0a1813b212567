"""Rewrites of macro calls: loops, guards, macros without ';', strings joined from macros."""

from __future__ import annotations

from kvmlint.syntax.marks import Role
from kvmlint.syntax.rewriting import CONTROL, KEYWORDS, Rewriting
from kvmlint.syntax.tokens import is_word


class MacroRewriting(Rewriting):
    """The part of the walk that looks at ``word(…)``."""

    def called(self, index: int, kind: bytes) -> int:
        """A word before '('."""
        tokens = self.tokens
        word, close = tokens.text[index], tokens.match[index + 1]
        if close <= index:
            return index + 1
        if word in CONTROL:
            self.control.add(close)
            return index + 1
        if word in KEYWORDS:
            return index + 1
        if word.startswith(b"while_") and self.previous(index) == b"}" and kind == b"b":
            # do { … } while_each_thread(g, p);
            self.out[tokens.at[index] : tokens.end(index)] = b"while".ljust(len(word))
            return index + 1
        self.calls.append((tokens.at[index + 1], tokens.at[close]))
        if kind == b"a" and index > 1:
            # KERN_DEBUG pr_fmt("…"): two strings joined
            before = tokens.text[index - 1]
            after = tokens.text[index - 2] in (b"(", b",")
            if after and is_word(before) and before not in KEYWORDS:
                self.blank(tokens.at[index - 1], tokens.at[index])
        if tokens.text[index + 2] == b",":
            self.missing(tokens.end(index + 1), tokens.at[index + 2])
        if kind == b"s" and self.previous(index) in (b";", b"{", b"}"):
            # A member made by a macro: not of interest, and not C to the parser.
            last = close + 1 if self.next(close) == b";" else close
            self.blank(tokens.at[index], tokens.end(last))
            return last + 1
        if self.starts_statement(index, kind):
            self._macro_statement(index, close)
        return index + 1

    def bare(self, index: int, follower: bytes) -> None:
        """A word alone on its line that begins a statement is a macro without ';'. It would be
        taken for the type of a declaration, and swallow the statement on the next line."""
        if follower != b"}" and not is_word(follower):
            return
        tokens = self.tokens
        end = tokens.end(index)
        gap = self.body[end : tokens.at[index + 1]]
        if (
            b"\n" in gap
            and self.starts_statement(index, b"b")
            and tokens.text[index] not in KEYWORDS
            and tokens.text[index].decode("latin-1") not in self.dialect.types
        ):
            self.out[end] = 0x3B
            self.control.add(index)

    def _macro_statement(self, index: int, close: int) -> None:
        """``word(…)`` that begins a statement: a loop macro, a guard, or a macro without ';'."""
        tokens = self.tokens
        word = tokens.text[index].decode("latin-1")
        follower = self.next(close)
        if follower == b"=" and self.next(close + 1) == b"{":
            # DECLARE_BITMAP(name, bits) = { … };
            self.blank(tokens.at[close + 1], tokens.end(tokens.match[close + 2]))
        elif word == "scoped_guard":
            self._loop(index, close, Role.GUARD)
        elif word == "scoped_cond_guard":
            self._loop(index, close, Role.CONDITIONAL_GUARD)
        elif word in self.dialect.loops:
            self._loop(index, close, Role.LOOP)
        elif follower == b"{":
            # IMPRECISE: an unknown macro with a block is taken for a loop.
            self._loop(index, close, Role.LOOP)
        elif follower == b"}" or (follower and (is_word(follower) or follower[0] == 0x22)):
            between = self.body[tokens.end(close) : tokens.at[close + 1]]
            if follower != b"}" and "for_each" in word and follower != b"else":
                self._loop(index, close, Role.LOOP)
            elif between and (follower in (b"}", b"else") or b"\n" in between):
                self.out[tokens.end(close)] = 0x3B
                self.control.add(close)

    def _loop(self, index: int, close: int, role: Role) -> None:
        tokens = self.tokens
        start, end = tokens.at[index], tokens.end(index)
        keyword = b"while" if end - start >= 5 else b"if"
        if end - start < 2:
            return
        empty = close == index + 2
        self.out[start:end] = keyword.ljust(end - start)
        if empty:
            opened, closed = tokens.at[index + 1], tokens.at[close]
            if closed > opened + 1:
                self.out[opened + 1] = 0x30
            elif end - start >= 8:
                self.blank(opened, closed + 1)
                self.out[start + 5 : start + 8] = b"(0)"
        name = tokens.text[index].decode("latin-1")
        self.marks.roles[start] = (role, name, not empty)
        self.control.add(close)
        if role is Role.CONDITIONAL_GUARD:
            self._fail_statement(index, close)

    def _fail_statement(self, index: int, close: int) -> None:
        """The second argument of scoped_cond_guard is a statement: kept aside, read apart."""
        tokens = self.tokens
        commas = []
        at = index + 2
        while at < close:
            if tokens.text[at] == b",":
                commas.append(at)
            at = max(at, tokens.match[at]) + 1
        if not commas:
            return
        start = tokens.end(commas[0])
        end = tokens.at[commas[1]] if len(commas) > 1 else tokens.at[close]
        if end > start:
            self.marks.fails[tokens.at[index]] = (start, self.body[start:end])

    def string(self, index: int) -> None:
        """Macros joined to a string, ``KERN_ERR PFX "a" __stringify(x) "b"``, become blank."""
        tokens = self.tokens
        text = tokens.text
        last = index
        while (follower := self.next(last)) and (follower[0] == 0x22 or is_word(follower)):
            if follower in KEYWORDS:
                break
            last += 1
            if is_word(follower):
                if self.next(last) == b"(":
                    last = max(last, tokens.match[last + 1])
                self.blank(tokens.end(index), tokens.end(last))
        first = index
        while first > 0:
            before = text[first - 1]
            if before == b")" and first - 1 not in self.control and first - 1 not in self.cast:
                opened = tokens.match[first - 1]
                if not 0 < opened < first - 1 or not is_word(text[opened - 1]):
                    break
                first = opened - 1
            elif is_word(before) and before not in KEYWORDS:
                first -= 1
            else:
                break
        if first < index:
            self.blank(tokens.at[first], tokens.at[index])
