"""kvmlint: when a hypercall fails, is the host's own state still right?"""

__version__ = "0.1.0"
