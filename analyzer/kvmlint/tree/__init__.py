"""A kernel tree: where things are in it, read through Sources and only as far as needed."""
