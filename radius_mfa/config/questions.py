"""What `radius-mfa init` asks: one table, from which come its prompts, the file of answers and the documentation.

An answer is a text, as it was typed.  `parse` of a question gives it back as it is kept, or raises ValueError
with what is wrong in a line, where `{it}` stands for what was typed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from radius_mfa.config import filters, typed, values
from radius_mfa.config.forms import Parser
from radius_mfa.config.profiles import GENERIC

Answers = Mapping[str, str]


def _always(_: Answers) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Question:
    """`text`: the prompt; `help`: a line before it.  `default`: None: there must be an answer; "" is none.

    Where the default depends on what was found, that one comes before `default`.
    `secret`: not shown while it is typed.  `needed`: whether it is asked, after what was answered before.
    """

    name: str
    text: str
    help: str
    parse: Callable[[str], str]
    default: str | None = None
    secret: bool = False
    needed: Callable[[Answers], bool] = _always


def _wants_mail(answers: Answers) -> bool:
    return bool(answers.get("smtp"))


def _over_tls(answers: Answers, servers: str, start_tls: str) -> bool:
    several = typed.listed(answers.get(servers, ""))
    return answers.get(start_tls) == "true" or not all(map(typed.is_plain, several))


_ldap_server: Parser[str, values.Server] = values.server("ldap", "ldaps")
_smtp_server: Parser[str, values.Server] = values.server("smtp", "smtps")

# --- the table ------------------------------------------------------------------------------------

DIRECTORY = (
    Question(
        "ldap_servers",
        "LDAP servers",
        "Your directory, as ldaps://ldap.example.org; several with commas, all with the same accounts.",
        typed.list_of(_ldap_server),
    ),
    Question(
        "ldap_start_tls",
        "StartTLS",
        "ldap:// is clear text until StartTLS; without it passwords cross the network in clear.",
        typed.yes_or_no,
        "yes",
        needed=lambda answers: typed.is_plain(answers["ldap_servers"]),
    ),
    Question(
        "ldap_ca_file",
        "CA file",
        "The certificate of the authority that signs the servers' certificates, in PEM; none: the system's own.",
        typed.or_none(typed.file),
        "",
        needed=lambda answers: "ldap_ca_file" in answers and _over_tls(answers, "ldap_servers", "ldap_start_tls"),
    ),
    Question(
        "ldap_bind_dn",
        "Bind DN",
        "The account that may look users up; in Active Directory radius@example.org will do.",
        typed.text(),
    ),
    Question("ldap_bind_password", "Its password", "It goes into a file of its own.", typed.secret, secret=True),
)
PEOPLE = (
    Question("ldap_base_dn", "Base DN", "Users are below this entry.", typed.dn, ""),
    Question(
        "ldap_user_filter",
        "User filter",
        "How a user is found by the name that was typed, {username}.",
        typed.valid(filters.user_filter),
        "(uid={username})",
    ),
    Question(
        "ldap_id",
        "Attribute that is the user's id",
        "Second factors are kept under it: one value, never given to anybody else.",
        typed.valid(values.attribute_name),
        "entryUUID",
    ),
    Question(
        "try_user",
        "A user to try",
        "Somebody who is to log in, to see whether that works; none: not tried.",
        typed.or_none(typed.text(1, 253)),
        "",
    ),
)
PASSWORD = (
    Question(
        "try_password",
        "Their password",
        "Tried once and kept nowhere; none: not tried.",
        typed.or_none(typed.secret),
        "",
        secret=True,
    ),
)
GROUP = (
    Question(
        "group",
        "Group that may log in",
        "Its number, or its DN; none: everybody whom the directory lets in.",
        typed.number_or_dn,
        "",
    ),
)
CLIENT = (
    Question(
        "client_profile",
        "Make of the gateway",
        "Type a maker, such as forti or cisco; generic is any that shows a second question.",
        typed.profile,
        GENERIC,
    ),
    Question("client_name", "Name of the gateway", "As policies and the log call it.", typed.client_name, "vpn"),
    Question(
        "client_address",
        "Its address",
        "Where its requests come from: an address or a prefix; several with commas.",
        typed.list_of(values.network),
    ),
    Question(
        "client_secret",
        "Shared secret",
        "The gateway knows the same one; none: one is made at random.",
        typed.or_none(typed.secret),
        "",
        secret=True,
    ),
)
MAIL = (
    Question(
        "smtp",
        "Mail server",
        "For codes by e-mail, as smtp://mail.example.org:587; none: no codes by e-mail.",
        typed.or_none(typed.valid(_smtp_server)),
        "",
    ),
    Question(
        "smtp_start_tls",
        "StartTLS",
        "smtp:// is clear text until StartTLS.",
        typed.yes_or_no,
        "yes",
        needed=lambda answers: _wants_mail(answers) and typed.is_plain(answers["smtp"]),
    ),
    Question(
        "smtp_ca_file",
        "CA file",
        "The certificate of the authority that signs the mail server's, in PEM; none: the system's own.",
        typed.or_none(typed.file),
        "",
        needed=lambda answers: "smtp_ca_file" in answers and _over_tls(answers, "smtp", "smtp_start_tls"),
    ),
    Question(
        "smtp_username",
        "User name",
        "If the server asks for one.",
        typed.or_none(typed.text()),
        "",
        needed=_wants_mail,
    ),
    Question(
        "smtp_password",
        "Its password",
        "It goes into a file of its own.",
        typed.secret,
        secret=True,
        needed=lambda answers: bool(answers.get("smtp_username")),
    ),
    Question(
        "smtp_sender",
        "Sender",
        "Whom the mails are from.",
        typed.valid(values.mail_address),
        needed=_wants_mail,
    ),
    Question(
        "smtp_try",
        "Address to try",
        "A mail is sent there now; none: only whether the server would take one is tried.",
        typed.or_none(typed.valid(values.mail_address)),
        "",
        needed=_wants_mail,
    ),
)
HOUSE = (
    Question(
        "issuer", "Issuer", "What the authenticator app shows beside the user's name.", typed.text(1, 128), "VPN"
    ),
    Question(
        "contact",
        "Contact",
        "Told to a user who is stuck, as Help desk, extension 1234.",
        typed.or_none(typed.text(1, 200)),
        "",
    ),
)
LISTENER = (
    Question(
        "listen",
        "Listen on",
        "Address and port; 0.0.0.0 is every address.",
        typed.listener,
        "0.0.0.0:1812",
    ),
)
USER = (
    Question(
        "user",
        "User of the server",
        "Started as root, it goes on as this one; none: as who starts it.",
        typed.or_none(typed.text(1, 32)),
        "",
    ),
)
FOLDERS = (
    Question("state_folder", "Folder of the store", "Made if need be; the server writes in it.", typed.path, ""),
    Question(
        "audit_file",
        "Audit file",
        "One line for each request, with the reason of every refusal.",
        typed.path,
        "",
    ),
)

QUESTIONS = (*DIRECTORY, *PEOPLE, *PASSWORD, *GROUP, *CLIENT, *MAIL, *HOUSE, *LISTENER, *USER, *FOLDERS)
BY_NAME = {question.name: question for question in QUESTIONS}
SECRETS = frozenset(question.name for question in QUESTIONS if question.secret)


def parsed(question: Question, text: str) -> str:
    """The answer as it is kept.  Raises ValueError with a line that shows no secret."""
    try:
        return question.parse(text)
    except ValueError as wrong:
        shown = "what was typed" if question.secret else f'"{text.strip()}"'
        raise ValueError(str(wrong).replace("{it}", shown)) from None


def unanswered(given: Answers) -> list[Question]:
    """What must be answered and is not."""
    return [each for each in QUESTIONS if each.default is None and each.needed(given) and not given.get(each.name)]


def answers_template() -> str:
    """A file of answers to fill in."""
    return "\n".join(_template()) + "\n"


def _template() -> Iterator[str]:
    yield "# Answers for `radius-mfa init --answers FILE`.  What is left out has its default."
    yield "# A secret may be a variable of the environment, ${NAME}, or a file: ldap_bind_password_file: FILE"
    for question in QUESTIONS:
        yield f"\n# {question.help}"
        default = f" {question.default}" if question.default else ""
        must_be = question.default is None and question.needed is _always
        yield f"{'' if must_be else '# '}{question.name}:{default}"


def folder_of(config: Path, is_default: bool, is_others: bool) -> tuple[str, str]:
    """Where the store and the audit file go by default: beside a file that is not the system's.

    `is_others`: the server is another user than whose the YAML is; it may not write beside that.
    """
    if is_default:
        return "/var/lib/radius-mfa", "/var/log/radius-mfa/audit.jsonl"
    folder = config.absolute().parent / ("state" if is_others else "")
    return str(folder), str(folder / "audit.jsonl")
