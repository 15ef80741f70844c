"""The site of docs/ builds without a warning, its reference is the code's, and no page names what is not there."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from docs.site import cli_page, observe_pages, reasons_page, yaml_page
from docs.site.contents import CONTENTS, WITHIN
from docs.site.reference import FOLDER, PAGES
from radius_mfa.config.elsewhere import twins_at
from radius_mfa.config.keys import keys_at
from radius_mfa.config.meanings import MEANINGS
from radius_mfa.config.messages import load_messages
from radius_mfa.config.section import Section, fields_of
from radius_mfa.core.acts import Act
from radius_mfa.core.messages import FALLBACK
from radius_mfa.core.outcomes import Outcome
from radius_mfa.data import CONFIG
from radius_mfa.observe.audit_fields import FIELDS
from radius_mfa.observe.reasons import ACTS, OUTCOMES
from radius_mfa.observe.wire_reasons import DISCARDS
from radius_mfa.wire.walker import DiscardReason
from tests.end_to_end.pages import blocks, without_blocks

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
WRITTEN = sorted(DOCS.rglob("*.md"))
READ = [ROOT / "README.md", *WRITTEN]

COMMANDS = {each.words: each.options for each in cli_page.commands()}
ANYWHERE = {"--config", "--help", "--version"}
KEYS = frozenset(yaml_page.keys())
TOP = {each for each in KEYS if "." not in each}
TEXTS = load_messages(CONFIG / "messages")[FALLBACK].keys()
FILE = re.compile(r"\.(?:md|py|pem|key|yaml|json|conf|service|db)$")
_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")

# Where a command begins, and all of it up to what is the shell's.
_RUN = re.compile(r"(?:^\s*(?:\$ )?|[;&|(]\s*|sudo (?:-u \S+ )?|/bin/)radius-mfa((?: +[^\s#&|;<>()]+)+)")
_OURS = re.compile(r"\bradius_mfa_[a-z_]+")
IN_FREERADIUS = {name for path in ROOT.glob("deploy/freeradius/*/*") for name in _OURS.findall(path.read_text())}


def build(source: Path, to: Path) -> subprocess.CompletedProcess[str]:
    """The site of `source`, as `make docs` makes it."""
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going"]
    return subprocess.run(
        [*command, "-c", DOCS / "site", "-d", to / "doctrees", source, to / "site"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_site_builds_without_a_warning_and_fetches_nothing_from_elsewhere(tmp_path: Path) -> None:
    built = build(DOCS, tmp_path)

    assert (built.returncode, built.stderr) == (0, "")
    pages = sorted((tmp_path / "site").rglob("*.html"))
    assert len(pages) >= len(WRITTEN)
    for page in pages:
        assert not re.search(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=\"(?:https?:)?//", page.read_text()), (
            page
        )
    for sheet in (tmp_path / "site").rglob("*.css"):
        assert not re.search(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", sheet.read_text()), sheet


def test_a_link_to_nowhere_and_a_page_that_is_not_in_the_contents_end_the_build(tmp_path: Path) -> None:
    source = tmp_path / "docs"
    source.mkdir()
    (source / "index.md").write_text("# Front\n\n[away](nowhere.md) [here](#no-such-heading)\n")
    (source / "stray.md").write_text("# Stray\n")

    built = build(source, tmp_path)

    assert built.returncode != 0
    assert "nowhere.md" in built.stderr
    assert "no-such-heading" in built.stderr
    assert re.search(r"stray\.md: WARNING: document isn't included in any toctree", built.stderr)


def test_every_page_is_in_the_contents_once() -> None:
    listed = ["index", *(page for pages in (*CONTENTS.values(), *WITHIN.values()) for page in pages)]
    written = {path.relative_to(DOCS).with_suffix("").as_posix() for path in WRITTEN}

    assert len(listed) == len(set(listed))
    assert set(listed) == written


@pytest.mark.parametrize("name", PAGES)
def test_the_reference_is_what_the_code_says(name: str) -> None:
    """Else: make docs"""
    assert (FOLDER / name).read_text() == PAGES[name]()


def sections(section: type[Section] = Section) -> Iterator[type[Section]]:
    for each in section.__subclasses__():
        yield each
        yield from sections(each)


def test_every_key_has_a_meaning_and_no_other() -> None:
    shipped = [each for each in sections() if each.__module__.startswith("radius_mfa.")]
    assert {each.__name__: set(fields_of(each)) for each in shipped} == {
        name: set(said) for name, said in MEANINGS.items()
    }


def test_what_more_is_said_of_metrics_is_of_some_that_there_are() -> None:
    assert observe_pages.MORE.keys() <= {*observe_pages.names()}


def test_every_reason_is_explained() -> None:
    assert list(OUTCOMES) == list(Outcome)
    assert list(ACTS) == list(Act)
    assert list(DISCARDS) == list(DiscardReason)
    radsec = "".join(path.read_text() for path in ROOT.glob("radius_mfa/transports/radsec*.py"))
    told = re.findall(r"(?:_refuse\(|\.end\(|_reason = )\"(\w+)\"", radsec)
    assert len(told) > 8
    assert set(told) <= {*reasons_page.names()}


def said(page: Path) -> Iterator[str]:
    """What a page has people type: each command line, without what a shell does with it."""
    name = str(page.relative_to(ROOT))
    inline = [each for each in _CODE.findall(without_blocks(name)) if each.startswith("radius-mfa ")]
    fenced = [line for block in blocks(name) for line in block.text.splitlines()]
    for line in (*inline, *fenced):
        for each in _RUN.findall(line.replace("\\|", " ")):
            yield each.strip()


@pytest.mark.parametrize("page", READ, ids=lambda path: path.stem)
def test_no_page_names_a_command_or_an_option_that_is_not_there(page: Path) -> None:
    for line in said(page):
        words = line.split()
        verbs = [word for word in words if not word.startswith("-")]
        command = next((verbs[:length] for length in (2, 1) if tuple(verbs[:length]) in COMMANDS), None)
        assert command or words[0].startswith("-"), line
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", line):
            assert option in COMMANDS.get(tuple(command or ()), ANYWHERE), line


@pytest.mark.parametrize("page", READ, ids=lambda path: path.stem)
def test_no_page_names_a_metric_that_is_not_there(page: Path) -> None:
    for name in set(_OURS.findall(page.read_text())) - IN_FREERADIUS:
        assert re.sub("_(?:bucket|sum|count)$", "", name) in observe_pages.names(), name


@pytest.mark.parametrize("page", READ, ids=lambda path: path.stem)
def test_no_page_asks_for_a_field_of_the_audit_file_that_is_not_there(page: Path) -> None:
    """By jq, or in a line of the file."""
    text = page.read_text()
    asked = [
        name for line in re.findall(r"\bjq\b.*", text) for name in re.findall(r"(?<![\w)\]])\.([a-z_]+)", line)
    ]
    shown = [
        name for line in re.findall(r'^\{"time".*', text, re.MULTILINE) for name in re.findall(r'"(\w+)":', line)
    ]
    assert {*asked, *shown} <= {each.name for each in FIELDS}


@pytest.mark.parametrize("page", READ, ids=lambda path: path.stem)
def test_no_page_names_a_reason_that_is_not_there(page: Path) -> None:
    text = page.read_text()
    asked = re.findall(r"--outcome[ =](\w+)", text)
    queried = re.findall(r"discarded_total\{[^}]*reason=~?\"([^\"]+)\"", text)
    decided = re.findall(r"decisions_total\{[^}]*outcome=~?\"([^\"]+)\"", text)
    names = {*reasons_page.names()}
    for several in (*asked, *queried, *decided):
        assert set(several.replace("\\", "").split("|")) <= names | {"REASON"}, several


def keys_in(value: object, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield (*path, key)
            yield from keys_in(each, (*path, key))
    elif isinstance(value, list):
        for at, each in enumerate(value):
            yield from keys_in(each, (*path, at))


@pytest.mark.parametrize("page", READ, ids=lambda path: path.stem)
def test_no_page_names_a_key_of_the_yaml_that_is_not_there(page: Path) -> None:
    page_name = str(page.relative_to(ROOT))
    for name in _CODE.findall(without_blocks(page_name)):
        if re.fullmatch(r"[a-z_]+(?:\.[a-z_]+)+", name) and name.split(".")[0] in TOP and not FILE.search(name):
            is_module = (ROOT / "radius_mfa" / name.replace(".", "/")).with_suffix(".py").exists()
            assert is_module or any(f".{each}".endswith(f".{name}") for each in KEYS), name
    for block in blocks(page_name, "yaml"):
        for written in yaml.safe_load_all(re.sub(r"\$\{\w+\}|…", "x", block.text)):
            for path in keys_in(written, ()) if is_ours(written) else ():
                known = {*keys_at(path[:-1]), *twins_at(path[:-1])}
                assert not known or path[-1] in known or str(path[-1])[:1].isupper(), path


def is_ours(written: object) -> bool:
    """Whether it is of the YAML, and not of a file of texts or somebody else's."""
    return isinstance(written, dict) and bool(TOP & written.keys()) and not TEXTS & written.keys()
