"""C that hypothesis writes: functions over a few names, dense in what the engine follows."""

from __future__ import annotations

from hypothesis import strategies as st

_names = st.sampled_from(("a", "b", "p", "q", "ret", "err", "i", "*p", "p->x", "p->n", "g", "t[i]"))
_atoms = st.one_of(
    _names,
    st.sampled_from(("0", "1", "-1", "-ENOMEM", "NULL", "true", "sizeof(*p)", "'a'", '"s"')),
)
_calls = st.sampled_from(
    (
        "kvm_call_hyp_nvhe(__x, a)",
        "kvm_call_hyp_nvhe(__pkvm_host_share_hyp, a)",
        "kvm_call_hyp_nvhe(__pkvm_host_unshare_hyp, a)",
        "kvm_call_hyp(__y, p)",
        "kzalloc(sizeof(*p), GFP_KERNEL)",
        "kfree(p)",
        "get_page(p)",
        "put_page(p)",
        "mutex_lock(&g->lock)",
        "mutex_unlock(&g->lock)",
        "list_add(&p->n, &g->list)",
        "list_del(&p->n)",
        "rb_insert_color(&p->n, &g->root)",
        "rb_erase(&p->n, &g->root)",
        "IS_ERR(p)",
        "PTR_ERR(p)",
        "WARN_ON(ret)",
        "is_protected_kvm_enabled()",
        "f0(a)",
        "f1(p)",
        "f2()",
    )
)
_operators = st.sampled_from(
    ("+", "-", "*", "&", "|", "&&", "||", "==", "!=", "<", ">=", ",", "<<", "=", "|=", "+=")
)


def _deeper(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("({} {} {})".format, inner, _operators, inner),
        st.builds("{}{}".format, st.sampled_from(("!", "-", "~", "&", "*", "++")), inner),
        st.builds("({} ? {} : {})".format, inner, inner, inner),
        st.builds("({}){}".format, st.sampled_from(("void", "bool", "u8", "struct s *")), inner),
        st.builds("({{ {}; {}; }})".format, inner, inner),
        st.builds("unlikely({})".format, inner),
    )


expressions = st.recursive(st.one_of(_atoms, _calls, _calls), _deeper, max_leaves=5)
_assigned = st.builds(
    "{} {} {};".format, _names, st.sampled_from(("=", "=", "=", "|=", "+=")), expressions
)
_simple = st.one_of(
    _assigned,
    _assigned,
    st.builds("{};".format, expressions),
    st.builds("return {};".format, expressions),
    st.builds("int {} = {};".format, st.sampled_from(("ret", "err", "v")), expressions),
    st.sampled_from(
        ("goto out;", "goto again;", "break;", "continue;", "return;", ";", "p->count++;", "i--;",
         "guard(mutex)(&g->lock);", "void *v __free(kfree) = kzalloc(8, 1);", "again: ;",
         "case 1:", "case 2 ... 5:", "default:", "out: kfree(p);", "BUG();")
    ),
)  # fmt: skip


def _around(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    block = st.lists(inner, max_size=4).map(lambda lines: "{\n" + "\n".join(lines) + "\n}")
    return st.one_of(
        block,
        st.builds("if ({}) {}".format, expressions, inner),
        st.builds("if ({})\n{} else {}".format, expressions, block, inner),
        st.builds("while ({}) {}".format, expressions, block),
        st.builds("do {} while ({});".format, block, expressions),
        st.builds("for (i = 0; {}; i++) {}".format, expressions, block),
        st.builds("switch ({}) {}".format, expressions, block),
        st.builds("list_for_each_entry(p, &g->list, n) {}".format, block),
        st.builds("scoped_guard(mutex, &g->lock) {}".format, block),
        st.builds("\n#ifdef A\n{}\n#else\n{}\n#endif\n".format, inner, inner),
    )


statements = st.recursive(_simple, _around, max_leaves=6)
_returns = st.sampled_from(("int", "static int", "void", "bool", "static void *", "u64", "long"))


def _function(number: int, returns: str, body: list[str]) -> str:
    lines = "\n".join(body)
    head = f"{returns} f{number}(struct s *p, u64 a)"
    return f"{head}\n{{\nint ret, i;\n{lines}\nout:\nreturn ret;\n}}\n"


def _unit(parts: list[tuple[str, list[str]]]) -> bytes:
    return "\n".join(
        _function(number, returns, body) for number, (returns, body) in enumerate(parts)
    ).encode()


units = st.lists(
    st.tuples(_returns, st.lists(statements, min_size=1, max_size=4)), min_size=1, max_size=3
).map(_unit)
"""Files of one to three functions that may call each other, and themselves."""
