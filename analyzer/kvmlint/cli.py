"""The command line: a stable contract. Options never change meaning between releases.

Exit status: 0 clean, 1 findings were printed, 2 usage error or failed analysis. Nothing heavy is
imported up here: ``--help`` and ``explain`` must not pay for parser, graph or SARIF library.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, NoReturn, ParamSpec

import click

from kvmlint import __version__
from kvmlint.console import CLEAN, FAILED, FINDINGS, Commands, read_stdin, run, style_for, write
from kvmlint.diagnostic import Diagnostic, Precision, RuleInfo, Severity
from kvmlint.report import FORMATS, Report, render
from kvmlint.report.safe import safe
from kvmlint.source import SourceError

if TYPE_CHECKING:
    from kvmlint.config import Config
    from kvmlint.knowledge import Knowledge
    from kvmlint.rule import RuleClass

P = ParamSpec("P")


def _choice(kind: type[Enum]) -> click.Choice[str]:
    return click.Choice([member.value for member in reversed(list(kind))])


_TREE = click.option(
    "--tree",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False),
    help="Kernel tree root. Default: the nearest folder above PATH that holds arch/.",
)


@click.group(
    cls=Commands,
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
@click.option("--select", multiple=True, metavar="RULE,...", help="Only these rules.")
@click.option("--ignore", multiple=True, metavar="RULE,...", help="Not these rules.")
@click.option(
    "--min-level", type=_choice(Severity), help="Hide findings below it. Default: warning."
)
@click.option(
    "--min-precision", type=_choice(Precision), help="Hide less sure findings. Default: medium."
)
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
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    help="auto: on a terminal, unless NO_COLOR is set.",
)
@click.option("--stdin-filename", metavar="PATH", help="What - should be called.")
@click.option("--show-notifications", is_flag=True, help="Print also what was not analysed.")
@click.option("--show-suppressed", is_flag=True, help="Print also what comments suppress, marked.")
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
    show_suppressed: bool,
) -> None:
    """Report findings in PATHs (the default command)."""
    from kvmlint import runner

    output = None if output == "-" else output
    stdin = read_stdin(paths, stdin_filename)
    rules = _catalogue()
    infos = _infos()
    named = [path for path in paths if path != "-"]
    with _mended_by_the_user():
        config = _config(tree or (named[0] if named else "."))
        options = runner.Options(
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
        began = perf_counter()
        result = runner.check(named, options, rules, stdin, _knowledge(config))
        seconds = perf_counter() - began
    shown = result.diagnostics
    if show_suppressed:
        shown = tuple(sorted((*shown, *result.suppressed), key=Diagnostic.sort_key))
    report = Report(shown, result.notifications, infos, result.root, __version__, result.files)
    style = style_for(color, output, show_notifications)
    failed = [notification for notification in result.notifications if notification.failed]
    code = FAILED if failed else FINDINGS if result.diagnostics else CLEAN
    write(render(form, report, style), output, code)
    for notification in failed:
        click.echo(f"kvmlint: {safe(notification.path)}: {safe(notification.message)}", err=True)
    if statistics:
        counts = Counter(d.rule for d in result.diagnostics)
        each = [(f"findings of {info.id}", str(counts[info.id])) for info in infos]
        for name, value in (*result.statistics, *each, ("seconds", f"{seconds:.2f}")):
            click.echo(f"{name}: {value}", err=True)
    click.get_current_context().exit(code)


@app.command()
@click.argument("paths", nargs=-1, metavar="[PATH...]", type=click.Path())
@_TREE
@click.option(
    "--hypercall", metavar="NAME", default="", help="One hypercall: contract and callers."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv", "markdown"]),
    default="table",
    show_default=True,
    help="How to print the ledger.",
)
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(dir_okay=False), help="Print to FILE."
)
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="KEY=GLOB,...",
    help="Only sites where a glob matches (KEY!=: where none does); may be repeated. Keys: file, "
    "function, hypercall, kind, use, verdict, confidence.",
)
@click.option("--sort", metavar="KEY,...", default="", help="Keys as for --filter. Default: file.")
@click.option(
    "--min-level",
    type=_choice(Severity),
    help="Findings below it are no verdict. Default: warning.",
)
@click.option(
    "--min-precision",
    type=_choice(Precision),
    help="Less sure findings are no verdict. Default: medium.",
)
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    help="auto: on a terminal, unless NO_COLOR is set.",
)
def audit(
    paths: tuple[str, ...],
    tree: str | None,
    hypercall: str,
    form: str,
    output: str | None,
    filters: tuple[str, ...],
    sort: str,
    min_level: str | None,
    min_precision: str | None,
    color: str,
) -> None:
    """The ledger of hypercalls: each site in PATHs: what EL2 returns, what the host does with it.

    With --hypercall also why that hypercall can fail, as a tree of EL2 functions; without PATHs
    its callers are looked for in the whole tree. The exit status is 0, whatever is found.
    """
    from kvmlint import audit as engine
    from kvmlint.report import ledger
    from kvmlint.runner import Options

    if not paths and not hypercall:
        raise click.UsageError("name a PATH, or a --hypercall")
    output = None if output == "-" else output
    with _mended_by_the_user():
        config = _config(tree or (paths[0] if paths else "."))
        options = Options(
            tree=tree or (None if paths else "."),
            min_level=Severity(min_level) if min_level else config.min_level or Severity.WARNING,
            min_precision=(
                Precision(min_precision)
                if min_precision
                else config.min_precision or Precision.MEDIUM
            ),
        )
        try:
            wanted = [engine.filter_of(text) for text in filters]
            keys = engine.keys_of(sort)
            found = engine.audit(paths, options, _catalogue(), _knowledge(config), hypercall)
        except engine.AuditError as error:
            raise click.UsageError(safe(str(error))) from error
    found = engine.arranged(found, wanted, keys)
    failed = [notification for notification in found.notifications if notification.failed]
    code = FAILED if failed else CLEAN
    write(ledger.render(form, found, style_for(color, output, False)), output, code)
    for notification in found.notifications:
        # CSV has no place for what could not be decided.
        if notification.failed or form == "csv":
            click.echo(f"kvmlint: {safe(ledger.said(notification))}", err=True)
    click.get_current_context().exit(code)


@app.command()
@click.argument("rule", required=False)
@click.option("--markdown", is_flag=True, help="The table as README.md shows it.")
def explain(rule: str | None, markdown: bool) -> None:
    """Print RULE's page, or the table of all rules."""
    from kvmlint.report import rules as pages

    infos = _infos()
    if not rule:
        text = pages.markdown(infos) if markdown else pages.table(infos)
    else:
        wanted = _ids("explain", (rule,), infos)
        text = "\n".join(pages.page(info) for info in infos if info.id in wanted)
    write(text, None, CLEAN)


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

    with _mended_by_the_user(file):
        text = engine.dump_cfg(file, function, tree, dot=form == "dot")
    write(text, None, CLEAN)


@dump.command("paths")
@_of_function
@click.option("--format", "form", type=click.Choice(["text"]), default="text")
def dump_paths(file: str, function: str, tree: str | None, form: str) -> None:
    """States, effects and outcomes along each path of FUNCTION in FILE."""
    from kvmlint import dump as engine

    del form  # one so far; there so that both dumps are called alike
    with _mended_by_the_user(file):
        text = engine.dump_paths(file, function, tree)
    write(text, None, CLEAN)


def main() -> NoReturn:
    """Entry point of the ``kvmlint`` command."""
    run(app)


@contextmanager
def _mended_by_the_user(file: str = "") -> Iterator[None]:
    """Errors that are the user's to mend become one line and exit status 2; ``file`` is the one
    that a SourceError is about."""
    from kvmlint.knowledge.error import KnowledgeError

    try:
        yield
    except KnowledgeError as error:
        raise click.ClickException(safe(str(error))) from error
    except SourceError as error:
        raise click.ClickException(safe(f"{file}: {error}" if file else str(error))) from error


def _catalogue() -> tuple[RuleClass, ...]:
    from kvmlint_rules import RULES

    return RULES


def _infos() -> tuple[RuleInfo, ...]:
    """All rules, and those about suppressions."""
    from kvmlint.suppress import META

    return (*(rule.info() for rule in _catalogue()), *META)


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


def _knowledge(config: Config) -> Knowledge | None:
    """The tables with the project's additions; None: those that come with kvmlint."""
    from kvmlint.knowledge import builtin, extend

    return extend(builtin(), config.text, config.path) if config.text else None


def write_rule_table(path: str) -> None:
    """Writes README.md's rule table anew (``make readme``). ValueError: no place for it."""
    from kvmlint.report.rules import with_table

    readme = Path(path)
    infos = [rule.info() for rule in _catalogue()]
    readme.write_text(with_table(readme.read_text(encoding="utf-8"), infos), encoding="utf-8")
