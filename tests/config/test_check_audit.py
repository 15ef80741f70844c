"""What the audit file must not be, and what is warned of."""

from __future__ import annotations

import os

import pytest

from tests.config.support import SMALL, Folder, spoilt

OWN = "key_file: key\nstorage: sqlite:///state.db\n"


def said(folder: Folder, file: str) -> list[str]:
    """What `check` has against that audit file, which stands on line 16."""
    for name in ("key", "state.db", "secret", "ca.pem"):
        folder.write(name, "0123456789abcdef")
    text = spoilt("secret: 0123456789abcdef", "secret_file: secret") + OWN
    mail = "factors: {mail: {smtp: smtp://m, sender: a@example.org, ca_file: ca.pem}}\n"
    problems = folder.problems(text + f"audit: {{file: '{file}'}}\n" + mail, usable=True)
    return [each.removeprefix("16: audit.file: ") for each in problems if "audit" in each]


@pytest.mark.parametrize(
    ("file", "what"),
    [
        ("radius-mfa.yaml", "this configuration"),
        ("key", "the key file"),
        ("link", "the key file"),
        ("hard", "the key file"),
        ("state.db", "the store"),
        ("state.db-wal", "the store"),
        ("secret", "the file of a secret"),
        ("ca.pem", "the file of factors.mail.ca_file"),
    ],
)
def test_is_no_other_file_of_the_servers(folder: Folder, file: str, what: str) -> None:
    folder.write("key")
    (folder.path / "link").symlink_to("key")
    os.link(folder.path / "key", folder.path / "hard")
    assert said(folder, file) == [f'"{file}" is {what}, and lines are added to it; take a file of its own']


def test_is_no_folder(folder: Folder) -> None:
    assert said(folder, ".") == ['"." is a folder; name a file in it']


def test_is_any_other_file_there_or_not(folder: Folder) -> None:
    folder.write("audit.jsonl.1")
    assert said(folder, "audit.jsonl") == said(folder, "audit.jsonl.1") == said(folder, "/dev/null") == []


def test_is_not_the_default_of_key_file_or_store_either(folder: Folder) -> None:
    for file, what in (("key", "the key file"), ("state.db", "the store")):
        (problem,) = folder.problems(SMALL + f"audit: {{file: /var/lib/radius-mfa/{file}}}\n", usable=True)
        assert problem.startswith(f'14: audit.file: "/var/lib/radius-mfa/{file}" is {what}, ')


def test_without_it_nothing_is_deleted_that_was_rotated(folder: Folder) -> None:
    assert folder.warnings(SMALL + "audit: {delete_rotated: true, syslog: 'unix:/dev/log'}\n") == [
        "14: audit.delete_rotated: deletes nothing without audit.file; add that, or remove this"
    ]
