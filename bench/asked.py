"""What is asked of the benchmark, and whether it can be done: found out before anything is started."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

CANNOT = 2  # the exit status, as argparse's own; 1 is for logins that failed


def arguments(description: str | None, pairs: Iterable[str], given: list[str] | None = None) -> argparse.Namespace:
    """Those of the command line; `pairs` stand beside `full`, `quick` and `flat`."""
    parser = argparse.ArgumentParser(
        prog="bench", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "what",
        nargs="?",
        choices=["full", "quick", "flat", "eap", "inside", "portal", "audit", *pairs],
        default="full",
    )
    parser.add_argument(
        "quick", nargs="?", choices=["quick"], help="after flat, eap, inside or portal: less of everything"
    )
    parser.add_argument("--runs", type=_count, help="loads at each, with other users each")
    parser.add_argument("--logins", type=_count, help="logins in each of them")
    parser.add_argument("--starts", type=_count, help="starts of the servers that are timed")
    parser.add_argument("--only", nargs="+", metavar="WHAT", help="of flat: users, clients, policies, …")
    parser.add_argument("--ldaps", action="store_true", help="speak TLS to the directory")
    parser.add_argument("--postgresql", action="store_true", help="keep our state in PostgreSQL")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw them there (SVG)")
    return parser.parse_args(given)


def _count(said: str) -> int:
    if not (said.isascii() and said.isdigit() and int(said)):
        raise argparse.ArgumentTypeError(f"{said!r} is not a whole number above 0")
    return int(said)


def refuse(why: str) -> NoReturn:
    """One line, and the end."""
    print(f"bench: {why}", file=sys.stderr)
    sys.exit(CANNOT)


def need(programs: Iterable[str | Path]) -> None:
    """Refuse where one of them is not installed."""
    for program in programs:
        if not Path(program).exists():
            refuse(f"{program} is missing: make bench installs it")


def need_writable(asked: argparse.Namespace) -> None:
    """Refuse where the figures could not be written; what is in a file already stays until they are."""
    for option, file in (("--json", asked.json), ("--plot", asked.plot)):
        try:
            if file is not None:
                file.open("a").close()
        except OSError as error:
            refuse(f"cannot write {option} {file}: {error.strerror}")
    if asked.json is not None and asked.plot is not None and asked.json.samefile(asked.plot):
        refuse(f"--json and --plot are the same file, {asked.json}")


def write(asked: argparse.Namespace, figures: dict[str, Any], drawn: str) -> bool:
    """Whether all could be written; the JSON that could not is printed."""
    text = json.dumps(figures, indent=1, ensure_ascii=False) + "\n"
    written = _written("--json", asked.json, text)
    if not written:
        print(text, end="")
    return _written("--plot", asked.plot, drawn) and written


def _written(option: str, file: Path | None, text: str) -> bool:
    """Whether it was, where it was wanted."""
    try:
        if file is not None:
            file.write_text(text)
    except OSError as error:
        print(f"bench: cannot write {option} {file}: {error.strerror}", file=sys.stderr)
        return False
    return True
