"""The YAML that the answers to `radius-mfa init` come to, with a comment at each part of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from radius_mfa.config import values
from radius_mfa.config.profiles import GATEWAYS
from radius_mfa.config.questions import Answers
from radius_mfa.config.typed import HERE, is_plain, listed

SECRETS_FOLDER = "secrets"
KEY, STORE = "key", "state.db"  # the key is beside the YAML, where the server may read and not write
_LDAP_CA, _SMTP_CA = "ldap-ca.pem", "smtp-ca.pem"

# What YAML takes as it stands, wherever a value may be.
_PLAIN = re.compile(r"[A-Za-z0-9/(][A-Za-z0-9_./:=()&|+-]*[A-Za-z0-9/)]", re.ASCII)
_WORDS = frozenset({"true", "false", "null"})
_UNTRIED = "   # NOT TRIED with a user when this was written: each must have exactly one value"
_AUTO = "# Whoever has sent one has to from then on.  Take require once `radius-mfa clients` says it is safe."


@dataclass(frozen=True, slots=True)
class Groups:
    """How a user's groups are found.  `base_dn`, `filter`: "" for the defaults."""

    by: str = "attribute"
    base_dn: str = ""
    filter: str = ""


@dataclass(frozen=True, slots=True)
class Composition:
    """`answers`: to all that was asked.  `notes`: by the block they belong to, what did not work.

    `made_secret`: whether the gateway's secret was made now, and nobody knows it.
    """

    answers: Answers = field(repr=False)
    groups: Groups = Groups()
    notes: dict[str, str] = field(default_factory=dict)
    made_secret: bool = False

    def text(self) -> str:
        """The YAML."""
        return "".join(f"{line}\n" for line in self._lines())

    def secrets(self) -> dict[str, str]:
        """What goes into files, by their names from the YAML's folder on."""
        files = {"ldap": self.answers["ldap_bind_password"], self._client: self.answers["client_secret"]}
        if self.answers.get("smtp_username"):
            files["smtp"] = self.answers["smtp_password"]
        return {f"{SECRETS_FOLDER}/{name}": text for name, text in files.items()}

    def copies(self) -> dict[str, Path]:
        """Files that are copied, by their new names: the server's user may not reach the old ones."""
        sources = {_LDAP_CA: self.answers.get("ldap_ca_file"), _SMTP_CA: self.answers.get("smtp_ca_file")}
        return {name: Path(source) for name, source in sources.items() if source}

    @property
    def _client(self) -> str:
        return f"client-{self.answers['client_name']}"

    @property
    def clients(self) -> list[str]:
        """Names of the clients: the gateway, and this machine where it is not in the gateway's place."""
        return [self.answers["client_name"], *([] if self._gateway_is_here else [HERE])]

    @property
    def _gateway_is_here(self) -> bool:
        networks = [values.network(each) for each in listed(self.answers["client_address"])]
        return any(ip_address("127.0.0.1") in each for each in networks)

    # --- the blocks, in their order -----------------------------------------------------------------

    def _lines(self) -> Iterator[str]:
        yield "# Written by `radius-mfa init`.  After a change: `radius-mfa check --probe`, then SIGHUP."
        yield "# config/radius-mfa.yaml of the source has every key there is, with what it means."
        yield from ("", *self._note("listen"), "listen:", f"  - udp: {scalar(self.answers['listen'])}")
        yield from self._clients()
        yield from self._directory()
        yield from self._factors()
        yield from self._state()
        yield from self._policies()
        yield from self._rest()

    def _note(self, block: str) -> Iterator[str]:
        if block in self.notes:
            yield f"# DID NOT WORK when this was written: {self.notes[block]}"

    def _clients(self) -> Iterator[str]:
        answers, signs = self.answers, GATEWAYS[self.answers["client_profile"]].signs
        yield from ("", "clients:                             # one for each gateway")
        yield f"  - name: {scalar(answers['client_name'])}"
        yield f"    address: {sequence(listed(answers['client_address']))}"
        yield f"    secret_file: {scalar(f'{SECRETS_FOLDER}/{self._client}')}"
        yield f"    profile: {scalar(answers['client_profile'])}   # how it asks for the code: docs/gateways"
        if signs is not True:
            yield from (f"    {_AUTO}", "    message_authenticator: auto")
        if not self._gateway_is_here:
            yield f"  - name: {HERE}                       # this machine, for `radius-mfa login`"
            yield "    address: 127.0.0.1"
            yield f"    secret_file: {scalar(f'{SECRETS_FOLDER}/{self._client}')}"

    def _directory(self) -> Iterator[str]:
        answers = self.answers
        yield from ("", *self._note("directory"), *self._note("people"))
        yield from ("directory:                           # docs/directory.md", "  ldap:")
        yield f"    servers: {sequence(listed(answers['ldap_servers']))}"
        if is_plain(answers["ldap_servers"]):
            yield f"    start_tls: {answers['ldap_start_tls']}"
        if answers.get("ldap_ca_file"):
            yield f"    ca_file: {_LDAP_CA}"
        yield f"    bind_dn: {scalar(answers['ldap_bind_dn'])}"
        yield f"    bind_password_file: {SECRETS_FOLDER}/ldap"
        yield f"    base_dn: {scalar(answers['ldap_base_dn'])}"
        yield f"    user_filter: {scalar(answers['ldap_user_filter'])}"
        yield "    # active_filter: (accountStatus=active)   # who is activated; without it, everybody"
        untried = "" if answers.get("try_user") else _UNTRIED
        yield from ("    attributes:", f"      id: {scalar(answers['ldap_id'])}{untried}")
        yield from self._groups()
        yield "    wrong_passwords:                 # stay below what locks an account in the directory"
        yield from ("      limit: 5", "      within: 30m")

    def _groups(self) -> Iterator[str]:
        groups = self.groups
        if groups != Groups():
            yield from ("    groups:", f"      by: {groups.by}")
            if groups.base_dn:
                yield f"      base_dn: {scalar(groups.base_dn)}"
            if groups.filter:
                yield f"      filter: {scalar(groups.filter)}"

    def _factors(self) -> Iterator[str]:
        answers = self.answers
        yield from ("", "factors:", "  totp:", f"    issuer: {scalar(answers['issuer'])}")
        if not answers.get("smtp"):
            yield "  # mail: {smtp: smtp://mail.example.org:587, sender: mfa@example.org}   # codes by e-mail"
            return
        yield from self._note("mail")
        yield "  mail:                              # for whom `radius-mfa user mail` has set an address"
        yield f"    smtp: {scalar(answers['smtp'])}"
        if is_plain(answers["smtp"]):
            yield f"    start_tls: {answers['smtp_start_tls']}"
        if answers.get("smtp_ca_file"):
            yield f"    ca_file: {_SMTP_CA}"
        if answers.get("smtp_username"):
            yield f"    username: {scalar(answers['smtp_username'])}"
            yield f"    password_file: {SECRETS_FOLDER}/smtp"
        yield f"    sender: {scalar(answers['smtp_sender'])}"

    def _state(self) -> Iterator[str]:
        folder = Path(self.answers["state_folder"])
        yield from (
            "",
            *self._note("folders"),
            "# Whoever has both can read every secret in them; keep a copy of both elsewhere.",
        )
        yield from (f"storage: {scalar(f'sqlite:///{folder / STORE}')}", f"key_file: {KEY}")

    def _policies(self) -> Iterator[str]:
        yield from (
            "",
            "# The first one that fits decides; none is a refusal (docs/policies.md).  Who decides and why:",
        )
        yield f"# radius-mfa explain USER --client {self.answers['client_name']}"
        yield from ("policies:", "  - name: vpn", "    when:", f"      client: {sequence(self.clients)}")
        if self.answers.get("group"):
            yield f"      group: {scalar(self.answers['group'])}"
        yield "    second_factor: required          # when_enrolled lets those in who have none yet"

    def _rest(self) -> Iterator[str]:
        yield ""
        if self.answers.get("contact"):
            yield f"contact: {scalar(self.answers['contact'])}"
        yield from (*self._note("user"), "audit:", f"  file: {scalar(self.answers['audit_file'])}")
        if self.answers.get("user"):
            yield f"user: {scalar(self.answers['user'])}   # started as root, the server goes on as this one"


def scalar(text: str) -> str:
    """A text as a YAML value that is read as that text."""
    if _PLAIN.fullmatch(text) and text not in _WORDS:
        return text
    return json.dumps(text, ensure_ascii=False)


def sequence(texts: list[str]) -> str:
    """One value, or a list of several."""
    return scalar(texts[0]) if len(texts) == 1 else f"[{', '.join(map(scalar, texts))}]"
