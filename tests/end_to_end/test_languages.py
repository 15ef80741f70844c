"""What users read: in their own language, in one that the administrator added, and as their gateway has it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from radius_mfa.data import CONFIG
from tests.cli.support import run_cli
from tests.end_to_end.nas import ACCEPT, CHALLENGE, REJECT, ForeignNas
from tests.end_to_end.site import LENIENT, SECOND, VPN, Account, Site, told
from tests.peers.server import Server
from tests.peers.slapd import PEOPLE

JAPANESE: dict[str, str] = yaml.safe_load((CONFIG / "messages" / "ja.yaml").read_text())
OWN = {
    "de.yaml": "challenged: 'Bitte den Code der App eingeben (für alle, die fragen: {contact})'\n",
    "en.yaml": "profiles:\n  anyconnect:\n    challenged: 'Enter your code:'\n",
    "ja.yaml": "profiles:\n  anyconnect:\n    code_wrong: 'コードが違います。'\n",
}


def _changes(university: Site) -> dict[str, Any]:
    """Two of the clients are of makes that words are put otherwise for."""
    clients = university.usual()["clients"]
    profile_of = {"second": "anyconnect", "lenient": "campus"}
    changed = [
        {**each, "profile": profile_of.get(each["name"], each.get("profile", "generic"))} for each in clients
    ]
    return {"messages": "messages", "profiles": {"campus": {"like": "anyconnect"}}, "clients": changed}


@pytest.fixture(scope="module")
def server(university: Site) -> Iterator[Server]:
    """A server at the same directory, with texts of its own."""
    folder = university.folder / "messages"
    folder.mkdir()
    for name, text in OWN.items():
        (folder / name).write_text(text)
    with university.another("languages.yaml", _changes(university)) as it:
        yield it


def at(university: Site, server: Server, source: str) -> ForeignNas:
    return university.foreign("radclient", source, server=server)


def german(university: Site) -> Account:
    """Somebody of the staff who reads German, and English if it must be (RFC 2798 §2.7)."""
    account = university.changeable()
    added = "add: preferredLanguage\npreferredLanguage: de-CH, en;q=0.5\n"
    university.slapd.modify(f"dn: uid={account.name},{PEOPLE}\nchangetype: modify\n{added}")
    return account


def prompts(nas: ForeignNas, user: Account) -> tuple[str, str]:
    """What is read after the password, and after a wrong code; then the right one lets in."""
    asked = nas.ask(user.name, user.password)
    again = nas.ask(user.name, user.wrong_code(), asked.state)
    assert (asked.code, again.code) == (CHALLENGE, CHALLENGE)
    assert nas.ask(user.name, user.code(), again.state).code == ACCEPT
    return asked.message, again.message


def test_a_japanese_user_reads_japanese(university: Site, server: Server) -> None:
    nas = at(university, server, VPN)
    assert prompts(nas, university.student()) == (JAPANESE["challenged"], JAPANESE["code_wrong"])


def test_a_language_of_the_administrators_is_read_by_its_users_as_far_as_it_goes(
    university: Site, server: Server
) -> None:
    nas, user = at(university, server, VPN), german(university)
    asked = "Bitte den Code der App eingeben (für alle, die fragen: Ask at the counter)"
    assert prompts(nas, user) == (asked, told("code_wrong"))


@pytest.mark.parametrize("source", [SECOND, LENIENT])
def test_a_gateways_own_wording_is_read_there_and_at_those_like_it(
    university: Site, server: Server, source: str
) -> None:
    nas = at(university, server, source)
    assert prompts(nas, university.staff()) == ("Enter your code:", told("code_wrong"))
    assert prompts(nas, university.student()) == (JAPANESE["challenged"], "コードが違います。")
    elsewhere = at(university, server, VPN)
    assert prompts(elsewhere, university.staff()) == (told("challenged"), told("code_wrong"))


def test_before_the_right_password_nobody_is_told_what_somebody_reads(university: Site, server: Server) -> None:
    """Words in a user's own language would tell that there is such a user."""
    nas = at(university, server, VPN)
    replies = [nas.ask(user.name, "wrong") for user in (university.student(), university.staff())]
    assert {(reply.code, reply.message) for reply in replies} == {(REJECT, told("refused"))}


def test_what_a_new_language_lacks_is_one_warning(university: Site, server: Server) -> None:
    config = university.folder / "languages.yaml"
    said = run_cli("check", "--config", config).worked().err.splitlines()
    (line,) = [each for each in said if "messages/" in each]
    assert line.startswith(f"warning: {_german_file(university)}: has no text for ")
    assert line.endswith(": users of it read those in English")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "profiles: {anyconect: {refused: no}}",
            "profiles.anyconect: there is no such profile; did you mean anyconnect?",
        ),
        ("profiles: {campsu: {refused: no}}", "profiles.campsu: there is no such profile; did you mean campus?"),
        (
            "challenged: '{contact} " + "x" * 240 + "'",
            "challenged: is 259 octets long with the contact in it, "
            "a Reply-Message holds 253 (RFC 2865 §5.18); shorten it",
        ),
    ],
    ids=["shipped profile", "own profile", "too long"],
)
def test_a_slip_in_a_text_is_an_error_of_the_configuration(university: Site, text: str, found: str) -> None:
    folder = university.folder / "slips"
    folder.mkdir(exist_ok=True)
    (folder / "en.yaml").write_text(text)
    config = university.write("slips.yaml", {**_changes(university), "messages": "slips"})
    assert run_cli("check", "--config", config).line(2) == f"{folder}/en.yaml:1: {found}"


def _german_file(university: Site) -> Path:
    return university.folder / "messages" / "de.yaml"
