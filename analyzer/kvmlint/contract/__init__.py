"""The EL2 side: what each hypercall's handler can give back to the host."""
