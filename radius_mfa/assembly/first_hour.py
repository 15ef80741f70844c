"""The first hour with a directory and a gateway of one's own: what is asked in which order, tried, and written.

Who is asked is a `Talk`: somebody at a terminal, or a file of answers.  Nothing is written before the last answer.
"""

from __future__ import annotations

import os
import secrets
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from radius_mfa.assembly import trying
from radius_mfa.assembly.giving import owner_of
from radius_mfa.assembly.trying import PROPOSALS, FoundUser, Proposal
from radius_mfa.config.compose import Composition, Groups
from radius_mfa.config.questions import (
    CLIENT,
    DIRECTORY,
    FOLDERS,
    GROUP,
    HOUSE,
    LISTENER,
    MAIL,
    PASSWORD,
    PEOPLE,
    USER,
    Question,
    folder_of,
)
from radius_mfa.config.typed import numbered
from radius_mfa.core.errors import RadiusMfaError
from radius_mfa.core.printing import printable
from radius_mfa.directories.ldap_look import Product, Seen

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, Any]], Any]

_SECRET_OCTETS = 24  # at random: 32 characters that every gateway takes
_USUAL_USER = "radius-mfa"
_MOST_SHOWN = 50  # groups
_ONCE_REFUSED = ("ldap_ca_file", "smtp_ca_file")  # asked for once a certificate was not trusted, or where known


class Talk(Protocol):
    """Whoever answers."""

    def knows(self, name: str, /) -> bool:
        """Whether they have an answer to that question before it is asked."""

    def say(self, text: str) -> None:
        """Tell them a line."""

    def ask(self, question: Question, default: str | None) -> str:
        """Their answer, as `question.parse` keeps it; `default`: what it is if they say nothing."""

    def again(self, why: str) -> bool:
        """Whether to ask again after what went wrong; False: keep it as it is."""

    def anew(self, broken: RadiusMfaError) -> None:
        """Tell them what went wrong in the end, and that all will be asked again; or end it by an exception."""


@dataclass
class FirstHour:
    """`run`: runs a coroutine to its end.  `is_default`: whether the YAML will be where commands look for it."""

    talk: Talk
    run: Run
    config: Path
    is_default: bool
    answers: dict[str, str] = field(default_factory=dict, repr=False)
    notes: dict[str, str] = field(default_factory=dict)
    made_secret: str = field(default="", repr=False)

    def asked(self) -> Composition:
        """Ask everything, and try it at once."""
        self.notes.clear()
        for name in _ONCE_REFUSED:
            if self.talk.knows(name):
                self.answers[name] = ""
        seen = self._directory()
        found = self._people(seen)
        if found is not None:
            self._password(found)
        self._group(found)
        self._client()
        self._mail()
        self._house()
        made = self.answers["client_secret"] == self.made_secret
        return Composition(self.answers, found.groups if found else Groups(), self.notes, made)

    def asked_anew(self, broken: RadiusMfaError) -> Composition:
        """The same after all, what was answered being what Enter means."""
        self.talk.anew(broken)
        return self.asked()

    # --- block by block -----------------------------------------------------------------------------

    def _directory(self) -> Seen:
        while True:
            self._ask(DIRECTORY)
            try:
                seen: Seen = self.run(trying.try_directory(self.answers))
            except RadiusMfaError as broken:
                if isinstance(broken.__cause__, ssl.SSLCertVerificationError):
                    self._show_certificates()
                if not self._again("directory", broken):
                    return Seen(Product.OTHER)
            else:
                self.talk.say(f"It is {seen.product.value}, and lets {self.answers['ldap_bind_dn']} in.")
                return seen

    def _show_certificates(self) -> None:
        for line in self.run(trying.certificates_of(self.answers)):
            self.talk.say(line)
        self.talk.say("If it is the right one, name the certificate of the authority that signed it as CA file.")
        self.answers.setdefault("ldap_ca_file", "")  # from now on it is asked for

    def _people(self, seen: Seen) -> FoundUser | None:
        usual = PROPOSALS.get(seen.product, Proposal())
        if len(seen.bases) > 1:
            self.talk.say(f"Entries begin at {', '.join(seen.bases)}.")
        defaults = {"ldap_user_filter": usual.user_filter, "ldap_id": usual.id}
        if seen.bases:
            defaults["ldap_base_dn"] = seen.bases[0]
        while True:
            self._ask(PEOPLE, defaults)
            try:
                if "directory" not in self.notes:
                    self.run(trying.try_base(self.answers))
                if not self.answers["try_user"]:
                    return None
                found: FoundUser = self.run(trying.try_user(self.answers, seen))
            except RadiusMfaError as broken:
                if not self._again("people", broken):
                    return None
            else:
                self._show(found)
                return found

    def _show(self, found: FoundUser) -> None:
        user = found.user
        name = f" ({printable(user.name)})" if user.name else ""
        self.talk.say(f"Found {printable(user.username)}{name}: {printable(user.handle)}")
        self.talk.say(f"  {self.answers['ldap_id']}: {printable(user.id)}")
        if addresses := user.attributes.get(trying.MAIL):
            self.talk.say(f"  mail: {printable(', '.join(addresses))}")
        if not user.groups:
            self.talk.say("  in no group that the directory shows to the bind DN")

    def _password(self, found: FoundUser) -> None:
        while True:
            self.answers.pop("try_password", None)
            self._ask(PASSWORD)
            try:
                if self.answers["try_password"]:
                    self.run(trying.try_password(self.answers, found))
                    self.talk.say("The password is right.")
            except RadiusMfaError as broken:
                if self._again("password", broken):
                    continue
                self.notes.pop("password")
            self.answers.pop("try_password")
            return

    def _group(self, found: FoundUser | None) -> None:
        groups = sorted(found.user.groups)[:_MOST_SHOWN] if found else []
        for number, group in enumerate(groups, 1):
            self.talk.say(f"  {number}  {printable(group)}")
        self._ask(tuple(replace(question, parse=numbered(groups)) for question in GROUP))

    def _client(self) -> None:
        self._ask(CLIENT)
        if not self.answers["client_secret"]:
            self.answers["client_secret"] = self.made_secret = secrets.token_urlsafe(_SECRET_OCTETS)

    def _mail(self) -> None:
        self._tried("mail", MAIL, self._try_mail)

    def _try_mail(self) -> None:
        if not self.answers["smtp"]:
            return
        try:
            self.talk.say(f"Mail: {self.run(trying.try_mail(self.answers))}.")
        except RadiusMfaError as broken:
            if "certificate" in str(broken).casefold():
                self.answers.setdefault("smtp_ca_file", "")  # from now on it is asked for
            raise

    def _house(self) -> None:
        self._ask(HOUSE)
        self._tried("listen", LISTENER, self._try_listener)
        usual = {"user": _USUAL_USER} if os.geteuid() == 0 and self.is_default else {}
        self._tried("user", USER, self._try_user_of_server, usual)
        state, audit = folder_of(self.config, self.is_default, bool(owner_of(self.answers["user"])))
        usual = {"state_folder": state, "audit_file": audit}
        self._tried("folders", FOLDERS, lambda: trying.try_folders(self.answers, self.config), usual)

    def _try_user_of_server(self) -> None:
        trying.try_user_of_server(self.answers["user"], self.config.absolute().parent)

    def _try_listener(self) -> None:
        if warning := trying.try_listener(self.answers):
            self.talk.say(f"Note: {warning}.")

    # --- asking -------------------------------------------------------------------------------------

    def _ask(self, questions: tuple[Question, ...], defaults: dict[str, str] | None = None) -> None:
        """What was answered before is what Enter means; what is not asked is not answered."""
        for question in questions:
            if not question.needed(self.answers):
                self.answers.pop(question.name, None)
            else:
                default = self.answers.get(question.name, (defaults or {}).get(question.name, question.default))
                self.answers[question.name] = self.talk.ask(question, default)

    def _tried(
        self,
        block: str,
        questions: tuple[Question, ...],
        attempt: Callable[[], None],
        defaults: dict[str, str] | None = None,
    ) -> None:
        """Ask until it works, or is kept all the same."""
        while True:
            self._ask(questions, defaults)
            try:
                attempt()
            except RadiusMfaError as broken:
                if self._again(block, broken):
                    continue
            return

    def _again(self, block: str, broken: RadiusMfaError) -> bool:
        why = printable(str(broken))
        if self.talk.again(why):
            self.notes.pop(block, None)
            return True
        self.notes[block] = why
        return False
