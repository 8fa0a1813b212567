"""The SARIF of a real run, read by others: JSON schema, Microsoft's validator, a viewer.

The tools come from npm (``make sarif-tools``), the browser from the distribution. Where they are
not, these tests are skipped, but never in CI.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from tests.sarif_contract import Json, at, complaints, items, number, put, results, text

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
TOOLS = CACHE / "kvmlint" / "sarif-tools" / "node_modules"
NATIVE = TOOLS / "@microsoft" / f"sarif-multitool-{platform.system().lower()}"
MULTITOOL = NATIVE / "Sarif.Multitool"
VIEWER = TOOLS / "@microsoft" / "sarif-web-component"
ESBUILD = TOOLS / ".bin" / "esbuild"


def needed(*files: Path) -> None:
    for file in files:
        if not file.exists():
            why = f"no {file.name}: make sarif-tools"
            if os.environ.get("CI") == "true":
                pytest.fail(why)
            pytest.skip(why)


def browser() -> str:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        why = "no chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    return found


def run(folder: Path, *command: str | Path) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        # The validator is a .NET program, which unpacks itself below HOME.
        env={**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
    )
    said = done.stdout.decode("utf-8", "replace")
    assert done.returncode == 0, said + done.stderr.decode("utf-8", "replace")
    return said


# --- a run that has everything in it --------------------------------------------------------------

TABS = "".join(
    f"void t{n % 7}(int a)\n{{\n\tkvm_call_hyp_nvhe(__set,  a);\n\n}}\n" for n in range(40)
)
CRLF = TABS.replace("\n", "\r\n")
ACCENTS = """\
/* d\u00e9j\u00e0 vu: \u00dcberpr\u00fcfung */
void a(void)
{
\t/* \u00e9\u00e8 */ kvm_call_hyp_nvhe(__set, 1); /* \u00fc */
\tpr_info("\u00fcber"); kvm_call_hyp_nvhe(__set, 2);
}
"""
EMOJI = """\
void e(void)
{
\tpr_info("\U0001f600\u754c"); kvm_call_hyp_nvhe(__set, 1); /* \U0001f680 */
\t/* \U0001f600\U0001f600\U0001f600 */ kvm_call_hyp_nvhe(__set,
\t\t\t2);
}
"""
ALLOWED = """\
void s(void)
{
\tkvm_call_hyp_nvhe(__set, 1); /* kvmlint: allow ignored-return -- nothing depends on it */
\tkvm_call_hyp_nvhe(__set, 2); /* kvmlint: allow ignored-return */
}
"""
FILES = {
    "tabs.c": TABS.encode(),
    "crlf.c": CRLF.encode(),
    "accents \u00fc.c": ACCENTS.encode(),
    "sub folder/emoji#1%.c": EMOJI.encode(),
    "allowed.c": ALLOWED.encode(),
    "latin1.c": ACCENTS.encode("latin-1"),
    "bom.c": b"\xef\xbb\xbf" + TABS.encode(),
    "no-end.c": TABS.rstrip().encode(),
}


def kvmlint(out: Path, *args: str | Path) -> int:
    command = [sys.executable, "-m", "kvmlint", *args, "--format", "sarif", "-o", out]
    done = subprocess.run(list(map(str, command)), capture_output=True, timeout=60, check=False)
    return done.returncode


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``tree``, and ``tree.sarif`` and ``demo.sarif`` from real runs."""
    folder = tmp_path_factory.mktemp("sarif tools")
    tree = folder / "tree"
    (tree / "arch").mkdir(parents=True)
    for name, data in FILES.items():
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_bytes(data)
    args = (tree, folder / "gone.c", "--show-suppressed", "--min-level", "note")
    assert kvmlint(folder / "tree.sarif", *args) == 2  # gone.c
    assert kvmlint(folder / "demo.sarif", ROOT / "fixtures" / "demo") == 1
    return folder


def log_of(file: Path) -> Json:
    value: Json = json.loads(file.read_text(encoding="utf-8-sig"))
    return value


def test_the_run_has_everything_in_it(made: Path) -> None:
    log = log_of(made / "tree.sarif")
    assert complaints(log, made / "tree") == []
    seen = {
        text(r, "locations", 0, "physicalLocation", "artifactLocation", "uri") for r in results(log)
    }
    assert len(seen) == len(FILES)
    assert sum(bool(items(result, "suppressions")) for result in results(log)) == 1
    assert at(log, "runs", 0, "invocations", 0, "executionSuccessful") is False


# --- the readers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["demo", "tree"])
def test_json_schema(made: Path, name: str) -> None:
    schema = NATIVE / "sarif-2.1.0.json"
    needed(schema)
    validator = Draft202012Validator(json.loads(schema.read_text(encoding="utf-8-sig")))
    log = log_of(made / f"{name}.sarif")
    assert [error.message for error in validator.iter_errors(log)] == []
    put(log, "fatal", "runs", 0, "results", 0, "level")
    assert [error.message for error in validator.iter_errors(log)], "the schema checks nothing"


def github_rules(folder: Path) -> Path:
    """The validator's configuration, with GitHub's rules as errors."""
    file = folder / "ghas.xml"
    if not file.exists():
        run(folder, MULTITOOL, "export-validation-config", file.name)
        plain = file.read_text(encoding="utf-8-sig")
        # GH1004's limits are not GitHub's any more.
        strict, count = re.subn(
            r'(Key="GH1(?!004)\d+\.[^"]*">\s*<Property Key="RuleEnabled" Value=")Default',
            r"\1Error",
            plain,
        )
        assert count > 10, "the validator names its rules otherwise"
        file.write_text(strict, encoding="utf-8")
    return file


def validate(folder: Path, name: str) -> list[str]:
    """The lines with errors. The tool's exit status is 0 with them and without."""
    config = github_rules(folder)
    said = run(folder, MULTITOOL, "validate", name, "--rule-kind", "Sarif;Ghas", "-c", config)
    assert "1 files scanned" in said
    return [line for line in said.splitlines() if re.search(r": error [A-Za-z]+[0-9]+:", line)]


@pytest.mark.parametrize("name", ["demo", "tree"])
def test_microsofts_validator(made: Path, name: str) -> None:
    needed(MULTITOOL)
    assert validate(made, f"{name}.sarif") == []


def test_microsofts_validator_finds_something(made: Path) -> None:
    needed(MULTITOOL)
    log = log_of(made / "demo.sarif")
    put(log, None, "runs", 0, "results", 0, "locations", 0, "physicalLocation", "region")
    (made / "bad.sarif").write_text(json.dumps(log))
    assert validate(made, "bad.sarif")


def test_line_hashes_equal_the_multitool_s(made: Path) -> None:
    needed(MULTITOOL)
    log = log_of(made / "tree.sarif")
    ours = [text(r, "partialFingerprints", "primaryLocationLineHash") for r in results(log)]
    for result in results(log):
        put(result, None, "partialFingerprints")
    (made / "bare.sarif").write_text(json.dumps(log))
    insert = ("--insert", "RollingHashPartialFingerprints", "--log", "ForceOverwrite")
    run(made, MULTITOOL, "rewrite", "bare.sarif", *insert, "-o", "hashed.sarif")
    theirs = {
        (uri_of(r), number(r, "locations", 0, "physicalLocation", "region", "startLine")): text(
            r, "partialFingerprints", "primaryLocationLineHash"
        )
        for r in results(log_of(made / "hashed.sarif"))
    }
    want = [
        theirs[uri_of(r), number(r, "locations", 0, "physicalLocation", "region", "startLine")]
        for r in results(log)
    ]
    assert len(want) > 150
    assert ours == want
    assert any(not hash_.endswith(":1") for hash_ in ours), "some lines are alike"


def uri_of(result: Json) -> str:
    return text(result, "locations", 0, "physicalLocation", "artifactLocation", "uri")


# --- what a person sees ---------------------------------------------------------------------------

PAGE = """\
import * as React from "react"
import * as ReactDOM from "react-dom"
import {Viewer} from "@microsoft/sarif-web-component"
import log from "./demo.json"
ReactDOM.render(React.createElement(Viewer, {logs: [log]}), document.getElementById("app"))
"""
HTML = """\
<!doctype html>
<html><head><meta charset="utf-8"></head>
<body><div id="app" style="height: 2000px"></div><script src="page.js"></script></body></html>
"""
CHROMIUM = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-sync", "--disable-background-networking", "--disable-component-update"),
    *("--disable-dev-shm-usage", "--virtual-time-budget=10000", "--dump-dom"),
)


class Words(HTMLParser):
    """The text of a page, without scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._hidden = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words += data.split()


def shown(page: str) -> str:
    parser = Words()
    parser.feed(page)
    return " ".join(parser.words)


def plain(message: str) -> str:
    """A message without its links, as a viewer shows it."""
    return re.sub(r"\[((?:[^\[\]\\]|\\.)+)\]\(\d+\)", r"\1", message)


@pytest.fixture(scope="module")
def seen(made: Path) -> str:
    """The words on the viewer's page for the demo's SARIF."""
    needed(VIEWER, ESBUILD)
    chromium = browser()
    shutil.copy(made / "demo.sarif", made / "demo.json")
    (made / "page.in.js").write_text(PAGE)
    (made / "page.html").write_text(HTML)
    # esbuild looks for packages in the folders above the importing file.
    (made / "node_modules").symlink_to(TOOLS)
    defines = ('--define:process.env.NODE_ENV="production"', "--define:global=window")
    run(made, ESBUILD, "page.in.js", "--bundle", "--outfile=page.js", "--log-level=error", *defines)
    profile = f"--user-data-dir={made / 'profile'}"
    return shown(run(made, chromium, *CHROMIUM, profile, (made / "page.html").as_uri()))


def test_a_viewer_shows_rule_message_and_place(made: Path, seen: str) -> None:
    log = log_of(made / "demo.sarif")
    for result in results(log):
        assert text(result, "ruleId") in seen
    # The viewer opens the first of its groups, which are the rules, the worst first.
    first = results(log)[0]
    assert text(first, "level") == "error"
    folder, _, name = uri_of(first).rpartition("/")
    assert folder in seen
    assert name in seen
    assert text(first, "locations", 0, "logicalLocations", 0, "name") in seen
    assert plain(text(first, "message", "text")) in seen
