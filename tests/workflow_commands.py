"""What GitHub's runner makes of a line of a log: its parser of workflow commands, in our words.

After src/Runner.Common/ActionCommand.cs of actions/runner: the form ``::name key=value,…::data`` is
tried first, at the start of a line, then the old form ``##[name key=value;…]data``, anywhere in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

# Names are compared without regard to case. Any other name may be one too: stop-commands makes one.
NAMES = (
    "add-mask",
    "add-matcher",
    "add-path",
    "debug",
    "echo",
    "endgroup",
    "error",
    "group",
    "notice",
    "remove-matcher",
    "save-state",
    "set-env",
    "set-output",
    "stop-commands",
    "warning",
)


@dataclass(frozen=True)
class Command:
    name: str
    properties: dict[str, str]
    data: str


def commands(text: str) -> Iterator[Command]:
    """The commands in what a step printed. The runner reads lines; so do terminals with \\r."""
    for line in text.replace("\r", "\n").split("\n"):
        found = _new(line) or _old(line)
        if found is not None:
            yield found


def _new(line: str) -> Command | None:
    line = line.lstrip()
    end = line.find("::", 2)
    if not line.startswith("::") or end < 0:
        return None
    name, _, told = line[2:end].partition(" ")
    if name.lower() not in NAMES:
        return None
    pairs = (part.partition("=") for part in told.strip().split(",") if part)
    properties = {key: _unescaped(value, "%3A:", "%2C,") for key, _, value in pairs if value}
    return Command(name, properties, _unescaped(line[end + 2 :]))


def _old(line: str) -> Command | None:
    start = line.find("##[")
    end = line.find("]", start)
    if start < 0 or end < 0:
        return None
    name, _, told = line[start + 3 : end].partition(" ")
    if name.lower() not in NAMES:
        return None
    pairs = (part.partition("=") for part in told.split(";") if part)
    properties = {key: _unescaped(value, "%5D]", "%3B;") for key, _, value in pairs if value}
    return Command(name, properties, _unescaped(line[end + 1 :], "%5D]", "%3B;"))


def _unescaped(text: str, *more: str) -> str:
    for escape in ("%0D\r", "%0A\n", *more, "%25%"):
        text = text.replace(escape[:3], escape[3])
    return text
