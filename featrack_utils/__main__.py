"""Command line: `python -m featrack_utils compare runs/a runs/b`, and likewise `run`."""

import sys
from importlib import import_module

COMMANDS = ("run", "compare")


def main(arguments: list[str] | None = None) -> int:
    """Hands the arguments after a command's name to the module of that name."""
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["none"]
    if name not in COMMANDS:
        print(f"featrack: Say which command: {' or '.join(COMMANDS)}.", file=sys.stderr)
        return 1
    return import_module(f"featrack_utils.{name}").main(rest)


if __name__ == "__main__":
    sys.exit(main())
