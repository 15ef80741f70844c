"""docs/reference/reasons.md: what each reason means, what the user is told, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from docs.site.tables import MADE, anchor, code, table
from radius_mfa.config.messages import load_messages
from radius_mfa.core.login import PUT_OTHERWISE
from radius_mfa.core.messages import FALLBACK
from radius_mfa.core.outcomes import ROUNDS_OVER, Outcome, told_to_user
from radius_mfa.data import CONFIG
from radius_mfa.observe.reasons import ACTS, OUTCOMES, Reason
from radius_mfa.observe.wire_reasons import DISCARDS, RADSEC_CLOSED, RADSEC_REFUSED

_HEAD = f"""\
# Reasons

{MADE}
Why a login, a packet or a connection ended as it did, by the name that audit file, log and metrics have for it.
`radius-mfa audit --outcome wrong_password` finds the requests that ended so.

- [Logins](#logins): `outcome` in the audit file
- [Acts](#acts): `outcome` of what is done in the portal
- [Silence](#silence): `reason` of `discarded` in the log, and of `radius_mfa_discarded_total`
- [RadSec](#radsec): `reason` of `radsec_refused` and `radsec_closed`

## Logins

What the user is told is the English text; other languages, and where another factor is at hand other words, are
in [`config/messages`](../../config/messages/en.yaml). {{contact}} is `contact` of the YAML. Until the password was
right everybody reads the same sentence, so that nobody learns which accounts exist. With the last answer that was
wrong the user reads: *{{over}}*

"""


def page() -> str:
    texts = load_messages(CONFIG / "messages")[FALLBACK]
    head = _HEAD.replace("{over}", texts[ROUNDS_OVER])
    logins = "".join(_login(each, texts) for each in Outcome)
    acts = table(
        ("act", "what was done"), ((anchor(f"act-{act}") + code(act), said) for act, said in ACTS.items())
    )
    return (
        f"{head}{logins}"
        f"## Acts\n\n`decision` is `done` or `refused`; `by` says who of the help desk did it.\n\n{acts}"
        f"## Silence\n\nA packet that is not answered, by why.\n\n{_table('silence', DISCARDS.items())}"
        f"## RadSec\n\nA connection that is refused (`radsec_refused`):\n\n"
        f"{_table('refused', RADSEC_REFUSED.items())}"
        f"One that ends (`radsec_closed`):\n\n{_table('closed', RADSEC_CLOSED.items()).rstrip()}\n"
    )


def names() -> Iterator[str]:
    """Every reason there is."""
    for table_ in (OUTCOMES, ACTS, DISCARDS, RADSEC_REFUSED, RADSEC_CLOSED):
        yield from map(str, table_)


def _login(outcome: Outcome, texts: Mapping[str, str]) -> str:
    reason = OUTCOMES[outcome]
    lines = [f"### {code(outcome)}", reason.means]
    told = _told(outcome, texts)
    if told:
        lines.append(f"**Told to the user:** {told}")
    lines.append(f"**What to do:** {reason.do}")
    return "\n\n".join(lines) + "\n\n"


def _told(outcome: Outcome, texts: Mapping[str, str]) -> str:
    key = told_to_user(outcome)
    if key not in texts:
        return ""
    others = [f"{key}{more}" for more in sorted(PUT_OTHERWISE.get(key, ())) if f"{key}{more}" in texts]
    instead = f" (or {_listed(map(code, others))})" if others else ""
    return f"*{texts[key]}*{instead}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _table(kind: str, reasons: Iterable[tuple[str, Reason]]) -> str:
    rows = ((anchor(f"{kind}-{name}") + code(str(name)), each.means, each.do) for name, each in reasons)
    return table(("reason", "what it means", "what to do"), rows)
