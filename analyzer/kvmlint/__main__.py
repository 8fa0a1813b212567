"""``python -m kvmlint``: the same as the ``kvmlint`` command."""

from kvmlint.cli import main

if __name__ == "__main__":
    main()
