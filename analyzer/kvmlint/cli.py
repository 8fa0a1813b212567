"""The command line: a stable contract. Options never change meaning between releases.

Exit status: 0 clean, 1 findings were printed, 2 usage error or failed analysis. Nothing heavy is
imported up here: ``--help`` and ``explain`` must not pay for parser, graph or SARIF library.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, ParamSpec

import click

from kvmlint import __version__
from kvmlint.diagnostic import Precision, RuleInfo, Severity
from kvmlint.report import FORMATS, Report, Style, render
from kvmlint.report.safe import safe
from kvmlint.source import MAX_BYTES, SourceError

if TYPE_CHECKING:
    from kvmlint.config import Config
    from kvmlint.rule import RuleClass

CLEAN, FINDINGS, FAILED, INTERRUPTED = 0, 1, 2, 130
PLAIN_WIDTH = 100
"""Width of a text report that goes to a file or a pipe, in cells."""

P = ParamSpec("P")


class _Commands(click.Group):
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


def _choice(kind: type[Enum]) -> click.Choice[str]:
    return click.Choice([member.value for member in reversed(list(kind))])


_TREE = click.option(
    "--tree",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False),
    help="Kernel tree root. Default: the nearest folder above PATH that holds arch/.",
)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    subcommand_metavar="PATH... | COMMAND",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def app() -> None:
    """When a hypercall fails, is the host's own state still right?

    kvmlint PATH... reads Linux KVM/arm64 C (files, folders, - for standard input) and reports
    paths on which it is not. Exit status: 0 clean, 1 findings, 2 usage error or failed analysis.
    """


@app.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path())
@_TREE
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMATS)),
    default="text",
    show_default=True,
    help="How to print findings.",
)
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(dir_okay=False), help="Print to FILE."
)
@click.option("--select", multiple=True, metavar="RULE,...", help="Only these.")
@click.option("--ignore", multiple=True, metavar="RULE,...", help="Not these.")
@click.option("--min-level", type=_choice(Severity), help="Default: warning.")
@click.option("--min-precision", type=_choice(Precision), help="Default: medium.")
@click.option(
    "-j",
    "--jobs",
    metavar="N",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="Processes; 0: one a CPU.",
)
@click.option("--statistics", is_flag=True, help="Print counts and times on standard error.")
@click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto")
@click.option("--stdin-filename", metavar="PATH", help="What - should be called.")
@click.option("--show-notifications", is_flag=True, help="Print also what was not analysed.")
def check(
    paths: tuple[str, ...],
    tree: str | None,
    form: str,
    output: str | None,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    min_level: str | None,
    min_precision: str | None,
    jobs: int,
    statistics: bool,
    color: str,
    stdin_filename: str | None,
    show_notifications: bool,
) -> None:
    """Report findings in PATHs (the default command)."""
    from kvmlint.runner import Options
    from kvmlint.runner import check as run

    stdin = _read_stdin(paths, stdin_filename)
    rules = _catalogue()
    infos = tuple(rule.info() for rule in rules)
    named = [path for path in paths if path != "-"]
    with _told_to_the_user():
        config = _config(tree or (named[0] if named else "."))
        options = Options(
            tree=tree,
            select=_ids("--select", select, infos) or _ids(config.path, config.select, infos),
            ignore=_ids("--ignore", ignore, infos) or _ids(config.path, config.ignore, infos),
            min_level=Severity(min_level) if min_level else config.min_level or Severity.WARNING,
            min_precision=(
                Precision(min_precision)
                if min_precision
                else config.min_precision or Precision.MEDIUM
            ),
            jobs=jobs or len(os.sched_getaffinity(0)),
        )
        result = run(named, options, rules, stdin)
    report = Report(result.diagnostics, result.notifications, infos, result.root, __version__)
    style = _style(color, output, show_notifications)
    failed = [notification for notification in result.notifications if notification.failed]
    code = FAILED if failed else FINDINGS if result.diagnostics else CLEAN
    _write(render(form, report, style), output, code)
    for notification in failed:
        click.echo(f"kvmlint: {safe(notification.path)}: {safe(notification.message)}", err=True)
    if statistics:
        for name, value in result.statistics:
            click.echo(f"{name}: {value}", err=True)
    click.get_current_context().exit(code)


@app.command()
@click.argument("rule", required=False)
@click.option("--markdown", is_flag=True, help="The table as README.md shows it.")
def explain(rule: str | None, markdown: bool) -> None:
    """Print RULE's page, or the table of all rules."""
    from kvmlint.report import rules as pages

    infos = tuple(r.info() for r in _catalogue())
    if not rule:
        text = pages.markdown(infos) if markdown else pages.table(infos)
    else:
        wanted = _ids("explain", (rule,), infos)
        text = "\n".join(pages.page(info) for info in infos if info.id in wanted)
    _write(text, None, CLEAN)


@app.group()
def dump() -> None:
    """Print what the engine saw of one function."""


_FUNCTION = (
    click.argument("file", type=click.Path(exists=True, dir_okay=False)),
    click.argument("function"),
    _TREE,
)


def _of_function(command: Callable[P, None]) -> Callable[P, None]:
    """The parameters that all dumps have."""
    for decorate in reversed(_FUNCTION):
        command = decorate(command)
    return command


@dump.command("cfg")
@_of_function
@click.option("--format", "form", type=click.Choice(["text", "dot"]), default="text")
def dump_cfg(file: str, function: str, tree: str | None, form: str) -> None:
    """The control-flow graph of FUNCTION in FILE."""
    from kvmlint import dump as engine

    with _told_to_the_user():
        text = engine.dump_cfg(file, function, tree, dot=form == "dot")
    _write(text, None, CLEAN)


@dump.command("paths")
@_of_function
@click.option("--format", "form", type=click.Choice(["text"]), default="text")
def dump_paths(file: str, function: str, tree: str | None, form: str) -> None:
    """States, effects and outcomes along each path of FUNCTION in FILE."""
    from kvmlint import dump as engine

    del form  # one so far; there so that both dumps are called alike
    with _told_to_the_user():
        text = engine.dump_paths(file, function, tree)
    _write(text, None, CLEAN)


def main() -> NoReturn:
    """Entry point. click's own would give exit status 1, 'findings', to some failures."""
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


def _catalogue() -> tuple[RuleClass, ...]:
    from kvmlint_rules import RULES

    return RULES


def _ids(where: str, words: Iterable[str], rules: Sequence[RuleInfo]) -> frozenset[str]:
    """The rule ids in ``words`` (commas or blanks between them), each of which must exist."""
    known = [rule.id for rule in rules]
    ids = [id_ for word in words for id_ in word.replace(",", " ").split()]
    for id_ in ids:
        if id_ not in known:
            from kvmlint.knowledge.error import suggest

            near = suggest(id_, known) or "; 'kvmlint explain' lists them"
            raise click.UsageError(f"{safe(where)}: there is no rule '{safe(id_)}'{near}")
    return frozenset(ids)


def _config(start: str) -> Config:
    """The settings that hold for ``start``. Raises KnowledgeError."""
    from kvmlint import config

    file = config.find(Path(start))
    return config.load(file) if file else config.Config()


def _read_stdin(paths: Sequence[str], name: str | None) -> tuple[str, bytes] | None:
    if "-" not in paths:
        if name is not None:
            raise click.UsageError("--stdin-filename needs - among the paths")
        return None
    return (name or "<stdin>", sys.stdin.buffer.read(MAX_BYTES + 1))


@contextmanager
def _told_to_the_user() -> Iterator[None]:
    """Errors that are the user's to mend become one line and exit status 2."""
    from kvmlint.knowledge.error import KnowledgeError

    try:
        yield
    except (KnowledgeError, SourceError, LookupError) as error:
        # str() of a KeyError is the repr of its message.
        text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
        raise click.ClickException(safe(text)) from error


def _style(color: str, output: str | None, notifications: bool) -> Style:
    """What a terminal can take. https://no-color.org: an explicit option wins over NO_COLOR."""
    terminal = output is None and sys.stdout.isatty()
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return Style(
        color=color == "always" or (color == "auto" and terminal and not plain),
        width=max(shutil.get_terminal_size().columns, 60) if terminal else PLAIN_WIDTH,
        notifications=notifications,
    )


def _write(text: str, output: str | None, code: int) -> None:
    """``text`` to the file, or to standard output; a reader that went away is no error of ours."""
    if output is not None:
        try:
            Path(output).write_text(text, encoding="utf-8", newline="\n")
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


def write_rule_table(path: str) -> None:
    """Writes README.md's rule table anew (``make readme``). ValueError: no place for it."""
    from kvmlint.report.rules import with_table

    readme = Path(path)
    infos = [rule.info() for rule in _catalogue()]
    readme.write_text(with_table(readme.read_text(encoding="utf-8"), infos), encoding="utf-8")
