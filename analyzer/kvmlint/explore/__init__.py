"""Symbolic walk over one function: every distinguishable path, with what it did to host state."""
