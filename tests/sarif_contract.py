"""What GitHub needs of a SARIF file, and what Microsoft's validator doesn't look at, as a check."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

# --- JSON with types ------------------------------------------------------------------------------


def at(value: Json, *path: str | int) -> Json:
    """What ``path`` leads to; None when there is nothing."""
    for part in path:
        match value, part:
            case dict(), str():
                value = value.get(part)
            case list(), int() if part < len(value):
                value = value[part]
            case _:
                return None
    return value


def items(value: Json, *path: str | int) -> list[Json]:
    found = at(value, *path)
    return found if isinstance(found, list) else []


def text(value: Json, *path: str | int) -> str:
    found = at(value, *path)
    return found if isinstance(found, str) else ""


def number(value: Json, *path: str | int) -> int:
    found = at(value, *path)
    return found if isinstance(found, int) else -1


def results(log: Json) -> list[Json]:
    return items(log, "runs", 0, "results")


def put(value: Json, new: Json, *path: str | int) -> None:
    """Writes over, or with ``new`` None deletes, what ``path`` leads to."""
    holder, last = at(value, *path[:-1]), path[-1]
    if isinstance(holder, dict) and isinstance(last, str):
        if new is None:
            del holder[last]
        else:
            holder[last] = new
    elif isinstance(holder, list) and isinstance(last, int):
        holder[last] = new
    else:
        raise LookupError(path)


# --- the contract ---------------------------------------------------------------------------------

LINK = re.compile(r"(?<!\\)\[(?:[^\[\]\\]|\\.)+\]\((\d+)\)")
LEVELS = {"error", "warning", "note"}


def complaints(log: Json, tree: Path | None = None) -> list[str]:
    """What is wrong with a log; ``tree`` holds the files, to look the regions up in them."""
    said = [*_of_log(log), *_of_rules(items(log, "runs", 0, "tool", "driver", "rules"))]
    for position, result in enumerate(results(log)):
        said += [f"result {position}: {why}" for why in _of_result(log, result)]
        if tree is not None:
            said += [f"result {position}: {why}" for why in _of_region(result, tree)]
    return said


def _of_log(log: Json) -> Iterator[str]:
    run = at(log, "runs", 0)
    if len(items(log, "runs")) != 1:
        yield "not one run"
    if at(log, "version") != "2.1.0" or "2.1.0" not in text(log, "$schema"):
        yield "version"
    if text(run, "automationDetails", "id") != "kvmlint/":
        yield "category"
    if at(run, "columnKind") != "utf16CodeUnits":
        yield "columnKind"
    if not re.fullmatch(r"file:///.*/", text(run, "originalUriBaseIds", "%SRCROOT%", "uri")):
        yield "%SRCROOT% is no absolute folder"
    if not isinstance(at(run, "invocations", 0, "executionSuccessful"), bool):
        yield "executionSuccessful"
    if len(results(log)) > 25_000:
        yield "too many results"
    if len(gzip.compress(json.dumps(log).encode())) > 10_000_000:
        yield "too large"


def _of_rules(rules: list[Json]) -> Iterator[str]:
    if len({text(rule, "id") for rule in rules}) != len(rules):
        yield "a rule twice"
    for rule in rules:
        id_, properties = text(rule, "id"), at(rule, "properties")
        tags = items(properties, "tags")
        wrong = {
            "name": text(rule, "name") in ("", id_),
            "texts": not (
                0 < len(text(rule, "shortDescription", "text")) <= 1024
                and 0 < len(text(rule, "fullDescription", "text")) <= 1024
            ),
            "help": not (text(rule, "help", "text") and text(rule, "help", "markdown")),
            "level": at(rule, "defaultConfiguration", "level") not in LEVELS,
            "precision": at(properties, "precision") not in ("high", "medium", "low"),
            "problem.severity": at(properties, "problem.severity")
            not in ("error", "warning", "recommendation"),
            "tags": not 0 < len(tags) <= 20,
            "cwe": any(
                "cwe" in str(tag) and not re.fullmatch(r"external/cwe/cwe-\d{3,}", str(tag))
                for tag in tags
            ),
            "security-severity": not re.fullmatch(
                r"\d+\.\d+", text(properties, "security-severity") or "0.0"
            ),
        }
        yield from (f"{id_}: {what}" for what, bad in wrong.items() if bad)


def _of_result(log: Json, result: Json) -> Iterator[str]:
    rules, index = items(log, "runs", 0, "tool", "driver", "rules"), number(result, "ruleIndex")
    if not 0 <= index < len(rules) or at(rules[index], "id") != at(result, "ruleId"):
        yield "ruleIndex leads to another rule"
    if at(result, "level") not in LEVELS:
        yield "no level of its own"
    if not re.fullmatch(
        r"[0-9a-f]{1,16}:\d+", text(result, "partialFingerprints", "primaryLocationLineHash")
    ):
        yield "no line hash"
    if not text(result, "partialFingerprints", "kvmlint/v1"):
        yield "no fingerprint of our own"
    if len(items(result, "locations")) != 1:
        yield "not one location"
    region = at(result, "locations", 0, "physicalLocation", "region")
    if number(region, "startLine") != number(region, "endLine"):
        yield "primary region on several lines"
    related = items(result, "relatedLocations")
    ids = [number(place, "id") for place in related]
    links = {int(found) for found in LINK.findall(text(result, "message", "text"))}
    if links - set(ids):
        yield "a link that leads nowhere"
    if set(ids) - links or len(set(ids)) != len(ids):
        yield "a related location that nothing leads to"
    flows = items(result, "codeFlows")
    steps = items(result, "codeFlows", 0, "threadFlows", 0, "locations")
    if len(flows) > 1 or len(items(result, "codeFlows", 0, "threadFlows")) > 1:
        yield "several paths"
    if flows and not 0 < len(steps) <= 1000:
        yield "number of steps"
    if len(related) > 100:
        yield "number of related locations"
    places = [*items(result, "locations"), *related, *(at(step, "location") for step in steps)]
    for place in places[1:]:
        if not text(place, "message", "text"):
            yield "a place without a word"
    for place in places:
        yield from _of_place(at(place, "physicalLocation"))


def _of_place(place: Json) -> Iterator[str]:
    uri, region = text(place, "artifactLocation", "uri"), at(place, "region")
    relative = at(place, "artifactLocation", "uriBaseId") == "%SRCROOT%"
    if not relative or uri.startswith("/") or ":" in uri:
        yield f"not relative: {uri}"
    if not re.fullmatch(r"(?:[A-Za-z0-9_.~/-]|%[0-9A-F]{2})+", uri):
        yield f"not encoded: {uri}"
    if {"", ".", ".."} & set(uri.split("/")):
        yield f"not normalised: {uri}"
    start = (number(region, "startLine"), number(region, "startColumn"))
    end = (number(region, "endLine"), number(region, "endColumn"))
    if min(*start, *end) < 1 or end <= start:
        yield f"region {start} to {end}"


def _of_region(result: Json, tree: Path) -> Iterator[str]:
    """The primary region must be a call, as GitHub would cut it out of the file; of a call on
    several lines, the name."""
    place = at(result, "locations", 0, "physicalLocation")
    region = at(place, "region")
    file = tree / unquote(text(place, "artifactLocation", "uri"))
    source = file.read_text("utf-8", "replace") if file.is_file() else ""
    lines = source.replace("\r\n", "\n").split("\n")
    line = "".join(lines[number(region, "startLine") - 1 :][:1]).encode("utf-16-le")
    first, last = number(region, "startColumn"), number(region, "endColumn")
    cut = line[2 * first - 2 : 2 * last - 2].decode("utf-16-le")
    if 2 * last - 2 > len(line) or not re.match(r"\w+(?:\(|$)|/[/*]", cut) or cut != cut.strip():
        yield f"the region is {cut!r}"
