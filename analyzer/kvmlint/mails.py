"""Patches as they are mailed: a mail, several files, an mbox, or a bare diff."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from email.message import Message

MOST_BYTES = 64 * 1024 * 1024
"""Bytes that are read in all."""
MOST_PATCHES = 2_000
"""Patches of one run."""
LONGEST_SUBJECT = 200
MOST_PARTS = 64
"""Boundaries in a mail: the parser compares each line with each that is open."""

_FROM = re.compile(rb"(?m)^From [^\n]*\d\d:\d\d:\d\d[^\n]*\d{4}[^\n]*$")
"""How a mail of an mbox, and one of git format-patch, begins (mbox(5); builtin/mailsplit.c)."""
_DIFF = re.compile(rb"(?m)^(?:diff --git |--- [^\n]+\n\+\+\+ )")
_HEADER = re.compile(rb"\A(?:[!-9;-~]+:[^\n]*\n(?:[ \t][^\n]*\n)*)+\r?\n")
_NUMBER = re.compile(r"\[[^\[\]]*?\b(\d{1,5})/(\d{1,5})\b[^\[\]]*\]")
_ANSWER = re.compile(r"(?i)(?:re|aw)\s*:")
_BOUNDARY = re.compile(rb"(?i)boundary\s*=")
_TAGS = re.compile(r"^(?:\[[^\[\]]*\]\s*)+")
_INDEX = re.compile(rb"(?m)^index ([0-9a-f]{7,64})\.\.([0-9a-f]{7,64})\b")
_BASE = re.compile(rb"(?m)^base-commit: ([0-9a-f]{40,64})\s*$")


class MailError(Exception):
    """What was given can't be read as patches; ``str()`` is one line for the user."""


class NoPatchError(MailError):
    """There are mails, and no patch among them."""


@dataclass(frozen=True, slots=True)
class Mail:
    """``text`` is the decoded text of a mail, ``subject`` its subject without '[PATCH …]' ('' for a
    bare diff); ``number`` and ``total`` as in '[PATCH 2/5]', 0 where it doesn't say; ``answer``:
    its subject begins with 'Re:'."""

    subject: str
    text: bytes
    number: int = 0
    total: int = 0
    answer: bool = False

    @property
    def is_patch(self) -> bool:
        """Whether there is a diff in it: a cover letter has none, nor has an answer."""
        return _DIFF.search(self.text) is not None

    @property
    def diff(self) -> bytes:
        """From the first line of the diff on."""
        found = _DIFF.search(self.text)
        return self.text[found.start() :] if found is not None else b""

    @property
    def blobs(self) -> list[tuple[str, str]]:
        """The abbreviated ids before and after of each file whose content changes; a new or deleted
        file has zeros."""
        return [(a.decode(), b.decode()) for a, b in _INDEX.findall(self.diff)]

    @property
    def base(self) -> str:
        """The commit that a series says it is made for (git format-patch --base); '' for none."""
        found = _BASE.search(self.text)
        return found[1].decode() if found is not None else ""


def read(texts: Iterable[tuple[str, bytes]]) -> list[Mail]:
    """The mails in files (name and bytes), in the order of their series: as they are given, or by
    their numbers when all patches have different ones. Raises MailError, NoPatchError."""
    mails: list[Mail] = []
    total = 0
    for name, data in texts:
        total += len(data)
        if total > MOST_BYTES:
            raise MailError(f"{name} is too large: {MOST_BYTES} bytes are read in all")
        found = [_mail(name, part) for part in _split(data)]
        if not found:
            raise MailError(f"{name} is empty")
        mails += found
    patches = [mail for mail in mails if mail.is_patch]
    if not all(mail.answer for mail in patches):
        mails = [mail for mail in mails if not mail.answer]
        patches = [mail for mail in patches if not mail.answer]
    if not patches:
        raise NoPatchError("there is no patch in it")
    if len(patches) > MOST_PATCHES:
        raise MailError(f"there are {len(patches)} patches; {MOST_PATCHES} are the most")
    numbers = [mail.number for mail in patches]
    if all(numbers) and len(set(numbers)) == len(numbers):
        mails.sort(key=lambda mail: mail.number)
    return mails


def _split(data: bytes) -> Iterator[bytes]:
    """The mails of an mbox; anything else is one."""
    starts = [match.start() for match in _FROM.finditer(data)]
    if not starts or data[: starts[0]].strip():
        if data.strip():
            yield data
        return
    for start, end in zip(starts, [*starts[1:], len(data)], strict=True):
        yield data[start:end].partition(b"\n")[2]


def _mail(name: str, data: bytes) -> Mail:
    if not _HEADER.match(data[: 2 << 20].replace(b"\r\n", b"\n")[: 1 << 20]):
        return Mail("", _unix(data))  # a diff, or a mail that lost its header
    if len(_BOUNDARY.findall(data)) > MOST_PARTS:
        raise MailError(f"{name} has a mail of too many parts; {MOST_PARTS} are the most")
    from email import message_from_bytes
    from email.errors import MessageError

    try:
        message = message_from_bytes(data)
        subject = _subject(message)
        text = b"\n".join(_texts(message))
    except (MessageError, RecursionError, ValueError, LookupError) as error:
        raise MailError(f"{name} is no mail that can be read: {type(error).__name__}") from None
    number = _NUMBER.search(subject)
    return Mail(
        _TAGS.sub("", subject) or subject,
        _unix(text),
        int(number[1]) if number else 0,
        int(number[2]) if number else 0,
        _ANSWER.match(subject) is not None,
    )


def _subject(message: Message) -> str:
    from email.header import decode_header, make_header

    raw = str(message.get("Subject", ""))
    try:
        text = str(make_header(decode_header(raw)))
    except (ValueError, LookupError):
        text = raw
    return " ".join(text.split())[:LONGEST_SUBJECT]


def _texts(message: Message) -> Iterator[bytes]:
    """The parts that are text; decoded from base64 and quoted-printable."""
    for part in message.walk():
        if part.get_content_maintype() == "text":
            payload = part.get_payload(decode=True)
            if isinstance(payload, bytes):
                yield payload


def _unix(text: bytes) -> bytes:
    """Without the line ends of a mail whose every line has been given them on its way."""
    found = _DIFF.search(text.replace(b"\r\n", b"\n"))
    if found is None or b"\r\n" not in text:
        return text
    lines = text.split(b"\n")
    ends = sum(line.endswith(b"\r") for line in lines)
    return text.replace(b"\r\n", b"\n") if ends >= len(lines) - 1 - lines.count(b"") else text
