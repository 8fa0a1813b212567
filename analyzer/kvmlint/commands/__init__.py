"""The commands of the command line, one module each; what several share is in options.py."""
