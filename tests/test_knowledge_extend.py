"""A user's [knowledge] table: what it adds and replaces, and does a mistake in it get a message
that names file, line, key and the nearest valid word?"""

from __future__ import annotations

import pytest

from kvmlint.knowledge import Knowledge, KnowledgeError, builtin, extend
from kvmlint.knowledge.model import (
    Does,
    EffectRow,
    EntryPoint,
    Holds,
    Role,
    Value,
    VerbPair,
)


@pytest.fixture(scope="module")
def k() -> Knowledge:
    return builtin()


def row(k: Knowledge, function: str, does: Does) -> EffectRow:
    rows = [effect for effect in k.effects(function) if effect.does is does]
    assert len(rows) == 1, f"{function}: {len(rows)} rows that {does.value}"
    return rows[0]


VENDOR = """\
[run]
level = "warning"

[knowledge.family.vendor-buffer]
kind = "memory"
made = "buffer obtained"
undone = "buffer freed"
make = [{ call = ["vbuf_alloc", "vbuf_dup"], resource = "return", holds = "valid" }]
undo = "vbuf_free"

[knowledge.family.slab]
make = { call = "vendor_zalloc", resource = "return", holds = "nonnull" }
undo = "vendor_free"

[knowledge.hypercalls]
__vendor_lend = { undone_by = "__vendor_return", donates = [2], returned = "host" }

[knowledge.verbs]
lend = { inverse = "return", hands_over = true }

[knowledge.entries]
vendor_call = { value = "result", prefix = "__vendor_" }

[knowledge.guards]
vendor = "mutex_lock mutex_unlock"

[knowledge.cleanups]
vbuf = "vbuf_free"

[knowledge.errnos]
EVENDOR = 600

[knowledge.names]
statistics = "vstat"
pairs = { lend = "return" }

[knowledge.world]
el2 = "drivers/vendor/el2/*"
"""


def test_extension(k: Knowledge) -> None:
    told = extend(k, VENDOR, ".kvmlint.toml")
    made = row(told, "vbuf_dup", Does.MAKE)
    assert (made.holds, made.undo_text, made.text) == (
        Holds.VALID,
        "vbuf_free({resource});",
        "buffer obtained",
    )
    added = row(told, "vendor_zalloc", Does.MAKE)
    assert (added.family, added.text, added.undo_text) == (
        "slab",
        "memory obtained",
        "kfree({resource});",
    )
    assert row(told, "vendor_free", Does.UNDO).family == row(told, "kmalloc", Does.MAKE).family
    lend = told.hypercall("__vendor_lend")
    assert lend is not None
    assert (lend.undone_by, lend.donates) == ("__vendor_return", (2,))
    assert told.verb_inverse("__x_lend_y") == ("__x_return_y", VerbPair("lend", "return", True))
    assert told.entry("vendor_call") == EntryPoint("vendor_call", Value.RESULT, prefix="__vendor_")
    assert told.cleanup("vbuf") == "vbuf_free"
    assert told.guard("vendor") is not None
    assert told.errno_name(600) == "EVENDOR"
    assert told.is_statistics("vstat")
    assert told.is_statistics("stat")
    assert "x_return" in told.inverse_names("x_lend")
    assert "drivers/vendor/el2/*" in told.tables.worlds.el2
    assert "arch/arm64/kvm/hyp/nvhe/*" in told.tables.worlds.el2
    assert told.digest != k.digest


def test_extension_leaves_the_base_alone(k: Knowledge) -> None:
    before = len(k.tables.effects), dict(k.tables.roles)
    extend(k, VENDOR + '\n[knowledge.roles]\npure = "kfree_my_thing"\n', "x")
    assert (len(k.tables.effects), k.tables.roles) == before
    assert k.effects("vbuf_free") == ()
    assert k.role("kfree_my_thing") is None
    assert k.family("vendor-buffer") is None


def test_a_users_row_replaces_ours(k: Knowledge) -> None:
    text = (
        '[knowledge.family.slab]\nmake = { call = "kmalloc", resource = "return", holds = "valid" }'
        '\n[knowledge.roles]\npure = "pr_err"\n'
        "[knowledge.hypercalls]\n__pkvm_host_share_hyp = {}\n"
    )
    told = extend(k, text, "x")
    assert row(told, "kmalloc", Does.MAKE).holds is Holds.VALID
    assert row(told, "kzalloc", Does.MAKE).holds is Holds.NONNULL
    assert told.role("pr_err") is Role.PURE
    assert told.verb_inverse("__pkvm_host_share_hyp") is None


def test_forgetting(k: Knowledge) -> None:
    told = extend(k, '[knowledge]\nforget = "kmap likely __pkvm_vcpu_load kvm_call_hyp"\n', "x")
    assert told.effects("kmap") == ()
    assert told.role("likely") is None
    assert told.hypercall("__pkvm_vcpu_load") is None
    assert told.entry("kvm_call_hyp") is None
    assert told.effects("kunmap") != ()


def test_a_file_without_knowledge_changes_nothing(k: Knowledge) -> None:
    assert extend(k, '[run]\nlevel = "note"\n', "x") is k
    assert extend(k, "", "x") is k


# Mistakes: (text, line, key, part of the message)

ROW = "[knowledge.family.slab]\nmake = [\n    { call = 'a', resource = 'return' },\n    %s,\n]\n"
MISTAKES: list[tuple[str, int, str, str]] = [
    (
        ROW % "{ call = 'b', resource = 'arg1', holds = 'nonnul' }",
        4,
        "knowledge.family.slab.make[1].holds",
        "'nonnul' is not one of always, nonnull, null, valid, zero, nonnegative, positive; "
        "did you mean 'nonnull'?",
    ),
    (
        ROW % "{ call = 'b', resorce = 'arg1' }",
        4,
        "knowledge.family.slab.make[1].resorce",
        "unknown key 'resorce'; did you mean 'resource'?",
    ),
    (
        ROW % "{ resource = 'arg1' }",
        4,
        "knowledge.family.slab.make[1]",
        "a row must say 'call'",
    ),
    (
        ROW % "{ call = 'b', resource = 'arg0' }",
        4,
        "knowledge.family.slab.make[1].resource",
        "'arg0' is not one of return, argN, *argN, none",
    ),
    (
        ROW % "{ call = 'a' }",
        4,
        "knowledge.family.slab.make[1].call",
        "'a' is listed twice",
    ),
    (
        ROW % "{ call = 'b', undo_text = 'f({thing});' }",
        4,
        "knowledge.family.slab.make[1].undo_text",
        "may hold {resource} and {container}",
    ),
    (
        ROW % "{ call = 'b', direction = 'arg3' }",
        4,
        "knowledge.family.slab.make[1].direction",
        "must be a number, 1 or more",
    ),
    (
        "# mine\n\n[knowledge.family.mine]\nkind = 'memry'\nmade = 'm'\nundone = 'u'\n",
        4,
        "knowledge.family.mine.kind",
        "'memry' is not one of memory, publish, count, pin, lock, register; did you mean 'memory'?",
    ),
    (
        "[knowledge.family.mine]\nmade = 'm'\nundone = 'u'\n",
        1,
        "knowledge.family.mine",
        "a new family must say 'kind'",
    ),
    (
        "[run]\n[knowledge.rols]\npure = 'a'\n",
        2,
        "knowledge.rols",
        "unknown key 'rols'; did you mean 'roles'?",
    ),
    (
        "[knowledge.roles]\nneutral = 'a'\nnoretrun = 'b'\n",
        3,
        "knowledge.roles.noretrun",
        "unknown key 'noretrun'; did you mean 'noreturn'?",
    ),
    (
        "[knowledge.roles]\nneutral = 'a'\npure = '''\n    b\n    a\n'''\n",
        3,
        "knowledge.roles.pure",
        "'a' is listed twice",
    ),
    (
        "[knowledge.roles]\npure = ['a', 3]\n",
        2,
        "knowledge.roles.pure[1]",
        "must be a string",
    ),
    (
        "[knowledge.entries]\nmy_call = { value = 'rseult' }\n",
        2,
        "knowledge.entries.my_call.value",
        "'rseult' is not one of result, none, out; did you mean 'result'?",
    ),
    (
        "[knowledge.entries]\n\nmy_call = {}\n",
        3,
        "knowledge.entries.my_call",
        "an entry point must say 'value'",
    ),
    (
        "[knowledge.entries.my_call]\nvalue = 'result'\nfunction = 0\n",
        3,
        "knowledge.entries.my_call.function",
        "must be a number, 1 or more",
    ),
    (
        "[knowledge.hypercalls]\n__x = { undone_by = '__y', bulk = 1 }\n",
        2,
        "knowledge.hypercalls.__x.bulk",
        "must be true or false",
    ),
    (
        "[knowledge.hypercalls]\n__x = { returned = 'hots' }\n",
        2,
        "knowledge.hypercalls.__x.returned",
        "'hots' is not one of host, memcache",
    ),
    (
        "[knowledge.hypercalls]\n__x = { kind = 'stauts' }\n",
        2,
        "knowledge.hypercalls.__x.kind",
        "'stauts' is not one of nothing, data, status",
    ),
    (
        "[knowledge.hypercalls]\n__x = { donates = ['arg2'] }\n",
        2,
        "knowledge.hypercalls.__x.donates[0]",
        "must be a number",
    ),
    (
        "[knowledge.verbs]\nlend = {}\n",
        2,
        "knowledge.verbs.lend",
        "a verb must say 'inverse'",
    ),
    (
        "[knowledge.guards]\nmine = 'mutex_lock'\n",
        2,
        "knowledge.guards.mine",
        "must be two calls",
    ),
    (
        "[knowledge]\nroles = 3\n",
        2,
        "knowledge.roles",
        "must be a table",
    ),
    (
        "[knowledge]\nforget = 'no_such_row'\n",
        2,
        "knowledge.forget",
        "no table has a row for 'no_such_row'",
    ),
    (
        "[knowledge.errnos]\nEMINE = true\n",
        2,
        "knowledge.errnos.EMINE",
        "must be a number",
    ),
]


@pytest.mark.parametrize(
    ("text", "line", "key", "message"), MISTAKES, ids=[f"{m[2]}-{m[1]}" for m in MISTAKES]
)
def test_mistakes(k: Knowledge, text: str, line: int, key: str, message: str) -> None:
    with pytest.raises(KnowledgeError) as caught:
        extend(k, text, ".kvmlint.toml")
    error = caught.value
    assert (error.file, error.line, error.key) == (".kvmlint.toml", line, key)
    assert message in error.message
    assert str(error) == f".kvmlint.toml:{line}: {key}: {error.message}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[knowledge.roles]\npure = 'a\n", 2),
        ("[knowledge]\nforget = ['a'\n", 2),
        ("[knowledge.roles]\npure = 'a'\npure = 'b'\n", 3),
    ],
)
def test_what_is_not_toml(k: Knowledge, text: str, line: int) -> None:
    with pytest.raises(KnowledgeError) as caught:
        extend(k, text, "conf.toml")
    assert caught.value.line == line
    assert str(caught.value).startswith(f"conf.toml:{line}: not valid TOML: ")


def test_a_refused_extension_leaves_the_base_alone(k: Knowledge) -> None:
    text = "[knowledge.roles]\npure = 'first_ok'\nneutral = 3\n"
    with pytest.raises(KnowledgeError):
        extend(k, text, "x")
    assert k.role("first_ok") is None
