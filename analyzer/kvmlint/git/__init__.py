"""Git repositories: revisions, and trees of files as Sources. Reads only; nothing is written.

Everything in a repository may be hostile, its configuration too. So: no shell, no hook, no file
system monitor, no filter, no pager, no external or textual diff, no network, no prompt; the index
and the work tree are never touched; a revision is never taken for an option.
"""
