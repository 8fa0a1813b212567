"""Control flow: one networkx graph of basic blocks of primitive operations for each function."""
