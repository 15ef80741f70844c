"""The house keeps its shape: who may import whom, how long things get, what they are called.

Every module is read as source, never run, so an import inside a function or under
`TYPE_CHECKING` counts like any other.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import radius_mfa

PACKAGE = Path(radius_mfa.__file__).parent
OURS = PACKAGE.name

LONGEST_MODULE = 400
LONGEST_FUNCTION = 40
# What is longer, by its name, with the reason.
LONG_MODULES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {}

# From the inside out.  A room imports the ones before its own line, never its neighbours on it.
FLOORS: tuple[frozenset[str], ...] = (
    frozenset({"core"}),
    frozenset({"wire", "eap"}),
    frozenset({"service"}),
    frozenset({"transports", "directories", "factors", "stores", "observe"}),
    frozenset({"assembly"}),
    frozenset({"cli", "portal"}),
    frozenset({"__main__", "freeradius"}),  # what others start
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
# Beside the stairs: what the room may import, and who may import it.
MAY_IMPORT = {"config": {"core", "wire", "data"}, "data": set[str](), "": set[str]()}
MAY_BE_IMPORTED_BY = {
    "config": {"assembly", "cli"},
    "data": {*FLOOR_OF, "config"} - {"core"},
    "": {*FLOOR_OF, "config"} - {"core"},  # the package itself: its version
}
ROOMS = {*FLOOR_OF, *MAY_IMPORT}

# A core that waits, reads, rolls dice or looks at a clock cannot be read as rules.
NOT_IN_CORE = {"asyncio", "time", "random", "secrets", "os", "ssl", "logging", "socket", "pathlib", "io"}
IMPORT_NOTHING_OF_OURS = {"core.errors", "core.outcomes"}
# A library of many hazards has one keeper.
KEPT_BY = {
    "pyrad": "wire.",
    "ldap3": "directories.ldap",
    "pyotp": "factors.totp",
    "aiosmtplib": "factors.smtp",
    "asyncpg": "stores.postgresql",
    "OpenSSL": "eap.tunnel",
    "starlette": "portal.",
    "jinja2": "portal.",
    "uvicorn": "portal.serving",
}
# In RADIUS a 16-octet field and an attribute: no class takes either name for something else.
TAKEN_NAMES = {"Authenticator", "State"}

# A process of its own, and the command that is its start.
STARTS = {"cli.portal": "portal"}

# FreeRADIUS has decoded already.
NOT_IMPORTED_BY = {"transports.freeradius": "wire"}

# What looks after all the others has as little in it as can be: nothing of ours that imports anything else either.
STANDARD_LIBRARY_ONLY = {"transports.supervisor"}


def modules() -> Iterator[tuple[str, str]]:
    """Every module of ours: its name without `radius_mfa.`, packages ending in `.__init__`, and its source."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield ".".join(path.relative_to(PACKAGE).with_suffix("").parts), path.read_text()


def imports_of(module: str, tree: ast.Module) -> Iterator[str]:
    """The full names of all that a module imports, `from a import b` as `a.b`, dots resolved."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (each.name for each in names)
            case ast.ImportFrom(module=source, names=names, level=level):
                here = [OURS, *module.split(".")]
                base = ".".join([*here[: len(here) - level], *([source] if source else [])]) if level else source
                yield from (f"{base}.{each.name}" for each in names)
            case ast.Call(
                func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module"), args=args
            ):
                yield from (str(each.value) for each in args[:1] if isinstance(each, ast.Constant))


def room_of(name: str) -> str:
    """The room of a module of ours, "" for the package itself; an attribute of the package is in no room."""
    first = name.removeprefix(f"{OURS}.").split(".")[0]
    return "" if first in {"__init__", "__version__", OURS} else first


def forbidden_imports(module: str, source: str) -> list[str]:
    """What `module` must not import but does, one line each."""
    wrong = []
    for name in imports_of(module, ast.parse(source)):
        ours = name == OURS or name.startswith(f"{OURS}.")
        reason = _wrong_inside(module, name) if ours else _wrong_outside(module, name)
        if reason:
            wrong.append(f"{module} imports {name}: {reason}")
    return wrong


def _wrong_inside(module: str, name: str) -> str:
    room, other = room_of(module), room_of(name)
    if module in IMPORT_NOTHING_OF_OURS:
        return "it imports nothing of ours"
    if unknown := {room, other} - ROOMS:
        return f"no such room: {unknown}"
    if NOT_IMPORTED_BY.get(module) == other:
        return f"this one does without {other}"
    if room == other or STARTS.get(module) == other:
        return ""
    if room in MAY_IMPORT or other in MAY_BE_IMPORTED_BY:
        allowed = other in MAY_IMPORT.get(room, {other}) and room in MAY_BE_IMPORTED_BY.get(other, {room})
        return "" if allowed else f"{room or OURS} may not import {other or OURS}"
    return "" if FLOOR_OF[other] < FLOOR_OF[room] else "imports point inward"


def _wrong_outside(module: str, name: str) -> str:
    top = name.split(".")[0]
    if room_of(module) == "core":
        if top in NOT_IN_CORE:
            return "the core has no world of its own"
        if top not in sys.stdlib_module_names:
            return "the core has the standard library only"
    keeper = KEPT_BY.get(top)
    return f"only {keeper} imports {top}" if keeper and not module.startswith(keeper) else ""


def imports_beneath(module: str, sources: dict[str, str]) -> Iterator[tuple[str, str]]:
    """All that is not ours and is imported by a module, or by what of ours it imports, each with who does."""
    seen = modules_behind(f"{OURS}.{module}", sources)
    left = [*seen]
    while left:
        here = left.pop()
        for name in imports_of(here, ast.parse(sources[here])):
            if name != OURS and not name.startswith(f"{OURS}."):
                yield here, name
                continue
            for each in modules_behind(name, sources) - seen:
                seen.add(each)
                left.append(each)


def modules_behind(name: str, sources: dict[str, str]) -> set[str]:
    """Which modules of ours are run where that full name is imported: it, and the packages around it."""
    parts = name.split(".")[1:]
    beginnings = [".".join(parts[:length]) for length in range(len(parts) + 1)]
    return {each for part in beginnings for each in (part, f"{part}.__init__".lstrip(".")) if each in sources}


def not_standard(module: str, sources: dict[str, str]) -> list[str]:
    """What a module has of other libraries, or of the event loop, one line each."""
    return [
        f"{who} imports {name}"
        for who, name in imports_beneath(module, sources)
        if (top := name.split(".")[0]) not in sys.stdlib_module_names or top == "asyncio"
    ]


def classes_with_taken_names(module: str, source: str) -> list[str]:
    return [
        f"{module}: class {node.name}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ClassDef) and node.name in TAKEN_NAMES
    ]


def long_functions(module: str, source: str) -> dict[str, int]:
    """Functions of too many lines, by `module:function`, with their lengths."""
    lengths = {
        f"{module}:{node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    return {name: lines for name, lines in lengths.items() if lines > LONGEST_FUNCTION}


# --- the house ----------------------------------------------------------------------------------


def test_imports_point_inward() -> None:
    assert [line for module, source in modules() for line in forbidden_imports(module, source)] == []


def test_no_class_takes_the_name_of_a_radius_field() -> None:
    assert [line for module, source in modules() for line in classes_with_taken_names(module, source)] == []


def test_every_module_says_what_it_is_for() -> None:
    assert [module for module, source in modules() if not ast.get_docstring(ast.parse(source))] == []


def test_modules_are_short_or_have_a_reason() -> None:
    long = {module for module, source in modules() if source.count("\n") > LONGEST_MODULE}

    assert long == set(LONG_MODULES)


def test_functions_are_short_or_have_a_reason() -> None:
    long = [name for module, source in modules() for name in long_functions(module, source)]

    assert set(long) == set(LONG_FUNCTIONS)


@pytest.mark.parametrize("module", sorted(STANDARD_LIBRARY_ONLY))
def test_the_supervisor_has_the_standard_library_only(module: str) -> None:
    assert not_standard(module, dict(modules())) == []


@pytest.mark.parametrize("module", sorted(STANDARD_LIBRARY_ONLY))
def test_a_process_that_runs_the_supervisor_has_loaded_nothing_else(module: str) -> None:
    program = f"""
import sys
before = set(sys.modules)
import {OURS}.{module}
loaded = set(sys.modules) - before
print(*sorted(name for name in loaded if getattr(sys.modules[name], "__file__", None)), sep="\\n")
print(*(getattr(sys.modules[name], "__file__", None) for name in loaded), sep="\\n", file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True, timeout=30
    )
    names = done.stdout.split()
    ours = {name for name in names if name.split(".")[0] == OURS}

    assert f"{OURS}.{module}" in ours
    assert ours <= {OURS, *(f"{OURS}.{each}".removesuffix(".__init__") for each, _ in modules())}
    assert {name for name in names if name.split(".")[0] not in sys.stdlib_module_names} == ours
    assert not {name for name in names if name.split(".")[0] == "asyncio"}
    assert "site-packages" not in done.stderr


def test_what_is_imported_while_a_process_of_several_begins_is_as_little_as_for_any_command() -> None:
    """A mistake in the rest is told in a line: so it is imported where that is caught."""
    source = dict(modules())["cli.process"]
    at_once = {name for node in ast.parse(source).body for name in imports_of("cli.process", in_a_module(node))}

    assert not {name for name in at_once if room_of(name) == "assembly" and name.startswith(OURS)}


@pytest.mark.parametrize("module", ["cli.main", "cli.serve", "assembly.server", "assembly.worker"])
def test_a_server_has_nothing_of_the_portals_in_its_memory(module: str) -> None:
    program = f"import sys, {OURS}.{module}; print(*sys.modules, sep=chr(10))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    names = set(done.stdout.split())

    assert f"{OURS}.{module}" in names
    assert not {name for name in names if name.split(".")[0] in {"starlette", "uvicorn", "jinja2", "h11"}}
    assert not {name for name in names if name.startswith(f"{OURS}.portal")}


def in_a_module(node: ast.stmt) -> ast.Module:
    """What is imported where it stands, functions left out."""
    body = [] if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else [node]
    return ast.Module(body, [])


# --- the walker itself --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "source"),
    [
        # Outward, one floor at a time.
        ("core.login", "from radius_mfa.wire import packet"),
        ("core.login", "from radius_mfa.service.texts import Texts"),
        ("wire.packet", "import radius_mfa.service"),
        ("service.service", "from radius_mfa.stores.sqlite import SqliteStore"),
        ("stores.sqlite", "from radius_mfa import assembly"),
        ("assembly", "from radius_mfa.cli import main"),
        ("cli.main", "import radius_mfa.__main__"),
        # In whatever form.
        ("core.login", "from ..wire import packet"),
        ("core.login", "from .. import wire"),
        ("core.__init__", "from ..wire import packet"),
        ("core.login", "def late():\n    from radius_mfa.wire import packet"),
        ("core.login", "if TYPE_CHECKING:\n    from radius_mfa.wire import packet"),
        ("core.login", "import importlib\nimportlib.import_module('radius_mfa.wire.packet')"),
        ("core.login", "__import__('radius_mfa.wire')"),
        # Neighbours.
        ("transports.udp", "from radius_mfa.directories.static import StaticDirectory"),
        ("transports.udp", "from radius_mfa.factors import totp"),
        ("transports.udp", "from radius_mfa.stores import sqlite"),
        ("directories.static", "from radius_mfa.stores import seal"),
        ("factors.totp", "from radius_mfa.observe import audit"),
        ("wire.packet", "from radius_mfa.eap import tls"),
        ("cli.main", "from radius_mfa.portal import pages"),
        ("cli.serve", "from radius_mfa.portal.app import application"),
        ("portal.app", "from radius_mfa.cli import portal"),
        ("assembly.portal", "from radius_mfa.portal.app import application"),
        ("assembly.portal", "import starlette"),
        ("portal.app", "import uvicorn"),
        # The rooms beside the stairs.
        ("config.load", "from radius_mfa.service.texts import Texts"),
        ("config.load", "from radius_mfa.stores import seal"),
        ("stores.sqlite", "from radius_mfa.config import model"),
        ("service.service", "from radius_mfa.config.model import Configuration"),
        ("portal.pages", "from radius_mfa.config import model"),
        ("core.policy", "from radius_mfa.data import CONFIG"),
        ("core.policy", "from radius_mfa import __version__"),
        ("data.__init__", "from radius_mfa.core import policy"),
        ("__init__", "from radius_mfa.core import policy"),
        ("service.service", "from radius_mfa.shed import tools"),
        ("shed.tools", "from radius_mfa.core import policy"),
        # What the core does without.
        *(("core.guard", f"import {name}") for name in sorted(NOT_IN_CORE)),
        ("core.guard", "import os.path"),
        ("core.guard", "from time import monotonic"),
        ("core.guard", "import pydantic"),
        ("core.errors", "from radius_mfa.core.outcomes import Outcome"),
        ("core.outcomes", "from radius_mfa.core import errors"),
        # One keeper a library.
        ("transports.udp", "from pyrad.packet import AuthPacket"),
        ("directories.static", "import ldap3"),
        ("cli.user", "import pyotp"),
        ("factors.mail", "import pyotp"),
        ("transports.freeradius", "from radius_mfa.wire import packet"),
    ],
)
def test_the_walker_catches(module: str, source: str) -> None:
    assert forbidden_imports(module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("core.login", "import hashlib\nfrom collections.abc import Mapping"),
        ("core.login", "import radius_mfa.core.usernames\nfrom radius_mfa.core import usernames"),
        ("core.login", "from . import usernames\nfrom .policy import Policy"),
        ("core.__init__", "from .policy import Policy"),
        ("core.errors", "from enum import Enum"),
        ("service.service", "import asyncio\nfrom radius_mfa.core.ports import Clock"),
        ("service.service", "from radius_mfa.wire import packet"),
        ("transports.udp", "from radius_mfa.wire.exchange import Exchange"),
        ("assembly", "from radius_mfa.config import model\nfrom radius_mfa.stores import sqlite"),
        ("cli.portal", "from radius_mfa.portal.app import application"),
        ("portal.app", "from starlette.applications import Starlette"),
        ("cli.check", "from radius_mfa.config import load\nfrom radius_mfa.factors import totp"),
        ("config.load", "import yaml\nfrom radius_mfa.data import CONFIG\nfrom radius_mfa.wire import dictionary"),
        ("wire.dictionary", "import pyrad.dictionary\nfrom radius_mfa.data import DICTIONARIES"),
        ("directories.ldap_connection", "from ldap3.protocol import rfc4511"),
        ("factors.totp", "import pyotp"),
        ("cli.main", "import radius_mfa\nfrom radius_mfa import __version__"),
        ("__main__", "from radius_mfa.cli.main import main"),
    ],
)
def test_the_walker_lets_pass(module: str, source: str) -> None:
    assert forbidden_imports(module, source) == []


def test_the_walker_reads_every_module_there_is() -> None:
    names = {module for module, _ in modules()}

    assert {"__init__", "core.conversation", "service.service", "stores.__init__"} <= names


@pytest.mark.parametrize(
    "beneath",
    [
        {"transports.supervisor": "import structlog"},
        {"transports.supervisor": "def late():\n    import structlog"},
        {"transports.supervisor": "import asyncio"},
        {
            "transports.supervisor": "from radius_mfa.transports.member import Member",
            "transports.member": "import orjson",
        },
        {
            "transports.supervisor": "from radius_mfa.transports import member",
            "transports.member": "import orjson",
        },
        {"transports.supervisor": "from .member import Member", "transports.member": "from asyncio import run"},
        {"transports.supervisor": "import json", "transports.__init__": "import orjson"},
        {
            "transports.supervisor": "from .a import x",
            "transports.a": "from .b import x",
            "transports.b": "import uvloop",
        },
    ],
)
def test_what_the_supervisor_has_beneath_is_found(beneath: dict[str, str]) -> None:
    beneath = {"__init__": "", "transports.__init__": "", **beneath}

    assert len(not_standard("transports.supervisor", beneath)) == 1


def test_the_standard_library_beneath_is_no_offence() -> None:
    beneath = {
        "transports.supervisor": "import json\nfrom .a import x",
        "transports.a": "from .supervisor import y\nimport os.path",
    }

    assert not_standard("transports.supervisor", beneath) == []


@pytest.mark.parametrize("name", sorted(TAKEN_NAMES))
def test_a_taken_name_is_found_wherever_the_class_stands(name: str) -> None:
    assert classes_with_taken_names("core.x", f"def f():\n    class {name}:\n        pass")
    assert classes_with_taken_names("core.x", f"class {name}Machine: pass\nx = '{name}'") == []


def test_a_function_is_long_from_its_forty_first_line() -> None:
    body = "".join("    x = 1\n" for _ in range(LONGEST_FUNCTION))

    assert long_functions("core.x", f"def f():\n{body}") == {"core.x:f": LONGEST_FUNCTION + 1}
    assert long_functions("core.x", f"async def f():\n{body.removesuffix('    x = 1' + chr(10))}") == {}
