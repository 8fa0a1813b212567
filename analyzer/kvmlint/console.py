"""Between the commands and the outside: standard streams, exit statuses, the default command."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NoReturn

import click

from kvmlint.diagnostic import Notification
from kvmlint.report import Style
from kvmlint.report.safe import safe
from kvmlint.source import MAX_BYTES

CLEAN, FINDINGS, FAILED, INTERRUPTED = 0, 1, 2, 130
"""Exit statuses; the last one is a shell's for SIGINT."""

PLAIN_WIDTH = 100
"""Width of a text report that goes to a file or a pipe, in cells."""


class Commands(click.Group):
    """A group whose default command is ``check``: ``kvmlint PATH`` is ``kvmlint check PATH``.

    A file that has a command's name is written ``./explain``.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {"--help", "-h", "--version"}
        if args and args[0] not in self.commands and args[0] not in own:
            args = ["check", *args]
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options of ``check`` too: they are what ``kvmlint PATH`` takes."""
        check = self.commands["check"]
        records = [param.get_help_record(ctx) for param in check.get_params(ctx)]
        with formatter.section("Options of check"):
            formatter.write_dl(
                [r for r in records if r and r[0].startswith("-") and "--help" not in r[0]]
            )
        super().format_options(ctx, formatter)


def run(app: click.Group) -> NoReturn:
    """Runs ``app`` and exits. click itself gives some failures status 1, which is 'findings'."""
    # Millions of small values, hardly a cycle: looking for cycles took a fifth of a run.
    gc.set_threshold(1_000_000)
    code: object
    try:
        code = app.main(prog_name="kvmlint", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = FAILED
    except (click.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except Exception as error:
        if os.environ.get("KVMLINT_DEBUG"):
            raise
        name, text = type(error).__name__, " ".join(str(error).split())
        click.echo(f"kvmlint: internal error: {name}: {safe(text)}", err=True)
        click.echo("kvmlint: please report it; KVMLINT_DEBUG=1 shows where", err=True)
        code = FAILED
    sys.exit(code if isinstance(code, int) else CLEAN)


def read_stdin(paths: Sequence[str], name: str | None) -> tuple[str, bytes] | None:
    """What ``-`` among the paths stands for: its name and its bytes."""
    if "-" not in paths:
        if name is not None:
            raise click.UsageError("--stdin-filename needs - among the paths")
        return None
    if sys.stdin is None:  # closed by the caller: kvmlint - <&-
        raise click.ClickException("standard input is closed")
    try:
        data = sys.stdin.buffer.read(MAX_BYTES + 1)
    except OSError as error:
        why = (error.strerror or "can't be read").lower()
        raise click.ClickException(f"standard input: {why}") from None
    if len(data) > MAX_BYTES:
        raise click.ClickException(f"standard input is too large (the limit is {MAX_BYTES} bytes)")
    return (name or "<stdin>", data)


def style_for(color: str, output: str | None, notifications: bool) -> Style:
    """What a terminal can take. https://no-color.org: an explicit option wins over NO_COLOR."""
    terminal = output is None and sys.stdout.isatty()
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return Style(
        color=color == "always" or (color == "auto" and terminal and not plain),
        width=max(shutil.get_terminal_size().columns, 60) if terminal else PLAIN_WIDTH,
        notifications=notifications,
    )


def say_failed(failed: Iterable[Notification]) -> None:
    """The inputs that could not be used, on standard error."""
    for notification in failed:
        click.echo(f"kvmlint: {safe(notification.path)}: {safe(notification.message)}", err=True)


def say_statistics(rows: Iterable[tuple[str, str]], cache: str, seconds: float) -> None:
    """Counts and times, on standard error."""
    for name, value in (*rows, ("cache", cache), ("seconds", f"{seconds:.2f}")):
        click.echo(f"{name}: {value}", err=True)


def write(text: str, output: str | None, code: int) -> None:
    """``text`` to the file, or to standard output; a reader that went away is no error of ours."""
    if output is not None:
        try:
            _replace(Path(output), text.encode())
        except OSError as error:
            why = (error.strerror or "can't be written").lower()
            raise click.ClickException(f"{safe(output)}: {why}") from None
        return
    encoding = sys.stdout.encoding or "utf-8"
    try:
        # Not every terminal speaks UTF-8, and no report is worth a traceback.
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at exit: let it have somewhere to write to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(code)


def _replace(file: Path, data: bytes) -> None:
    """The file as a whole or not at all: nobody ever reads half a report. Raises OSError."""
    file = Path(os.path.realpath(file))  # a symbolic link stays one
    if file.exists() and not file.is_file():  # a pipe, /dev/null
        file.write_bytes(data)
        return
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as stream:
            if file.exists():
                os.fchmod(stream.fileno(), file.stat().st_mode & 0o7777)
            stream.write(data)
        part.replace(file)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
