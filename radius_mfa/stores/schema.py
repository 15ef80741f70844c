"""The tables, schema version 8: what a migration has to arrive at.

For migrations, the command line and people; the way of a login speaks SQL of its own.  One schema for
SQLite and PostgreSQL.  Times are wall seconds as floats, since that is what they are compared with.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.ext.compiler import compiles

metadata = MetaData()


@compiles(Text, "postgresql")
def _octet_by_octet(*_: object, **__: object) -> str:
    """PostgreSQL compares texts as SQLite does, so that no index depends on the locales of its system."""
    return 'TEXT COLLATE "C"'


# Every user who has, or had, a factor, or ever guessed: whatever is known of them is found by this row.
# `username` is what the directory last called them; `required`: never let in without a second factor again.
# `codes_since`: no code that was given before lets anybody in without one any more.
user_counters = Table(
    "user_counters",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("username", Text, nullable=False, server_default=""),
    Column("failures", Integer, nullable=False, server_default=text("0")),
    Column("since_success", Integer, nullable=False, server_default=text("0")),
    Column("locks", Integer, nullable=False, server_default=text("0")),
    Column("locked_until", Double, nullable=False, server_default=text("0")),
    Column("suspended", Boolean, nullable=False, server_default=false()),
    Column("created", Double, nullable=False),
    Column("last_success", Double),
    Column("required", Boolean, nullable=False, server_default=false()),
    Column("codes_since", Double, nullable=False, server_default=text("0")),
    sqlite_with_rowid=False,
)

# A token's user is always in `user_counters`.  `seed` is sealed; one seed is one token of a user, whose tokens
# SQLite keeps together: a login asks for all of them, and writes one.
# `told_steps`: those whose codes are not accepted any more, with commas between.  `last_success`: when a code
# of it let the user in last; where it was no such code, that is in `user_counters`.
# `good_from`: of one that is not `confirmed` until then, though its first code was seen; 0 for all others.
totp_token = Table(
    "totp_token",
    metadata,
    Column("id", Text, nullable=False),
    Column("user_id", Text, primary_key=True),
    Column("label", Text, nullable=False),
    Column("seed", LargeBinary, nullable=False),
    Column("fingerprint", LargeBinary, primary_key=True),
    Column("confirmed", Boolean, nullable=False),
    Column("last_step", BigInteger, nullable=False),
    Column("drift", Integer, nullable=False),
    Column("created", Double, nullable=False),
    Column("told_steps", Text, nullable=False, server_default=""),
    Column("last_success", Double),
    Column("good_from", Double, nullable=False, server_default=text("0")),
    UniqueConstraint("id", name="totp_token_once"),
    Index(
        "totp_token_that_waits",
        "good_from",
        sqlite_where=text("good_from > 0"),
        postgresql_where=text("good_from > 0"),
    ),
    sqlite_with_rowid=False,
)

# A State that was answered.  No decision: the answer is still being judged, or its judge has died.
spent_state = Table(
    "spent_state",
    metadata,
    Column("login", LargeBinary, primary_key=True),
    Column("round", Integer, primary_key=True, autoincrement=False),
    Column("user_id", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("decision", LargeBinary),
    Column("expires", Double, nullable=False),
    Column("has_suspended", Boolean, nullable=False, server_default=false()),
    Index("spent_state_by_expiry", "expires"),
    sqlite_with_rowid=False,
)

# Recent rounds that an answer decided; the columns are fields of `core.messages.AuditEvent`.  SQLite keeps
# a user's together, by time: they are asked for by user, and in an order of their own would need an index more.
# `round`: 0 or less in rows of a store that did not write it down.  `code`: a keyed digest of the code that was
# looked at, where a supplicant may keep it and send it again.
login = Table(
    "login",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("time", Double, primary_key=True),
    Column("login", Text, primary_key=True),
    Column("round", Integer, primary_key=True, autoincrement=False),
    Column("username", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("station", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("factor", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("decision", Text, nullable=False),
    Column("code", LargeBinary),
    Index("login_by_time", "time"),
    Index(
        "login_by_code",
        "code",
        sqlite_where=text("code IS NOT NULL"),
        postgresql_where=text("code IS NOT NULL"),
    ),
    sqlite_with_rowid=False,
)

# Where codes are mailed to; only a verified address is kept.
mail_address = Table(
    "mail_address",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("address", Text, nullable=False),
    Column("verified", Double, nullable=False),
    sqlite_with_rowid=False,
)

# Mailed codes; `code` is sealed.  Kept while they count: until they expire, and for a day.  `number` is the
# order in which they were issued, whatever the clock said.  `client`: where it was asked for, "" where that is not
# known.
mail_code = Table(
    "mail_code",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("user_id", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("code", LargeBinary, nullable=False),
    Column("created", Double, nullable=False),
    Column("expires", Double, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("used", Boolean, nullable=False),
    Column("client", Text, nullable=False, server_default=""),
    Index("mail_code_by_user", "user_id", "number"),
    Index("mail_code_by_expiry", "expires"),
)

# Recovery codes, all of a user's at once; `code` is sealed.  A used one is kept, so that it is known again.
recovery_code = Table(
    "recovery_code",
    metadata,
    Column("id", Text, primary_key=True),
    Column("user_id", Text, nullable=False),
    Column("code", LargeBinary, nullable=False),
    Column("used", Boolean, nullable=False),
    Index("recovery_code_by_user", "user_id"),
    sqlite_with_rowid=False,
)

# An address that nobody has confirmed yet; `code`, sealed, was mailed there.  `good_from`: of one whose code was
# seen and which is the verified one only then; 0 for all others.
proposal = Table(
    "proposal",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("address", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("code", LargeBinary, nullable=False),
    Column("created", Double, nullable=False),
    Column("expires", Double, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("good_from", Double, nullable=False, server_default=text("0")),
    Index(
        "proposal_that_waits",
        "good_from",
        sqlite_where=text("good_from > 0"),
        postgresql_where=text("good_from > 0"),
    ),
    sqlite_with_rowid=False,
)

# What the help desk has given a user to enrol with; `code` is sealed.
voucher = Table(
    "voucher",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("code", LargeBinary, nullable=False),
    Column("created", Double, nullable=False),
    Column("expires", Double, nullable=False),
    Column("tries", Integer, nullable=False),
    sqlite_with_rowid=False,
)

# Trusted devices: where (`scope`) a user needs no code from that station.
trusted_device = Table(
    "trusted_device",
    metadata,
    Column("id", Text, primary_key=True),
    Column("scope", Text, primary_key=True),
    Column("user_id", Text, nullable=False),
    Column("station", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("factor", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("expires", Double, nullable=False),
    UniqueConstraint("user_id", "station", "scope", name="trusted_device_once"),
    Index("trusted_device_by_station", "station"),
    Index("trusted_device_by_expiry", "expires"),
    sqlite_with_rowid=False,
)

# Who logs in with a code from which station, and when last: a station of many is no device to trust.
station_user = Table(
    "station_user",
    metadata,
    Column("station", Text, primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("seen", Double, nullable=False),
    Index("station_user_by_time", "seen"),
    sqlite_with_rowid=False,
)

# Mails to be delivered.  What carries a code has the id of that, in `mail_code`, `proposal` or `link`, by `kind`.
# Whoever delivers one moves `due` ahead first.
outbox = Table(
    "outbox",
    metadata,
    Column("id", Text, primary_key=True),
    Column("address", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due", Double, nullable=False),
    Column("kind", Text, nullable=False, server_default="code"),
    Column("user_id", Text, nullable=False, server_default=""),
    Column("created", Double, nullable=False, server_default=text("0")),
    Column("expires", Double, nullable=False, server_default=text("0")),
    Index("outbox_by_due", "due"),
    Index("outbox_by_user", "user_id"),
    sqlite_with_rowid=False,
)

# Somebody in the portal.  `id`: a keyed digest of what their browser has; `factor`: "" for none; `pending` is
# sealed, and lost with its key, as the visit ends within hours.
visit = Table(
    "visit",
    metadata,
    Column("id", Text, primary_key=True),
    Column("user_id", Text, nullable=False),
    Column("username", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("factor", Text, nullable=False),
    Column("desk", Boolean, nullable=False),
    Column("source", Text, nullable=False),
    Column("begun", Double, nullable=False),
    Column("shown", Double, nullable=False),
    Column("seen", Double, nullable=False),
    Column("expires", Double, nullable=False),
    Column("voucher", Text, nullable=False),
    Column("anew", Boolean, nullable=False),
    Column("pending", LargeBinary, nullable=False),
    Index("visit_by_user", "user_id"),
    Index("visit_by_expiry", "expires"),
    sqlite_with_rowid=False,
)

# What was mailed to who can show no factor any more: no secret, as the mail has the id sealed.  Kept for a day
# after it has expired, used or not, since only so many are mailed to a user in a day.
link = Table(
    "link",
    metadata,
    Column("id", Text, primary_key=True),
    Column("user_id", Text, nullable=False),
    Column("username", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("expires", Double, nullable=False),
    Column("used", Boolean, nullable=False),
    Index("link_by_user", "user_id", "created"),
    Index("link_by_expiry", "expires"),
    sqlite_with_rowid=False,
)

# The help desk's queue.  `answered`: 0 for not yet; of each `kind` a user has one such.
help_case = Table(
    "help_case",
    metadata,
    Column("id", Text, primary_key=True),
    Column("user_id", Text, nullable=False),
    Column("username", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("answered", Double, nullable=False),
    Column("answered_by", Text, nullable=False),
    Index("help_case_by_user", "user_id", "kind", "answered"),
    Index("help_case_by_answer", "answered", "created", "id"),
    sqlite_with_rowid=False,
)

# Where requests come from, with Message-Authenticator and without.  Who has ever `signed` one must from then on
# (`message_authenticator: auto`).  What ends by the time it was `forgotten` does not count.  A time of 0 is never.
client_source = Table(
    "client_source",
    metadata,
    Column("client", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("first_seen", Double, nullable=False),
    Column("last_seen", Double, nullable=False),
    Column("signed", BigInteger, nullable=False),
    Column("unsigned", BigInteger, nullable=False),
    Column("last_signed", Double, nullable=False),
    Column("last_unsigned", Double, nullable=False),
    Column("forgotten", Double, nullable=False, server_default=text("0")),
    sqlite_with_rowid=False,
)

# Something only the right key file opens.
key_check = Table(
    "key_check",
    metadata,
    Column("key_id", LargeBinary, primary_key=True),
    Column("proof", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

# The servers at this store.  `keys`: the ids of those it has, one after the other, first the one that seals.
node = Table(
    "node",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("keys", LargeBinary, nullable=False),
    Column("seen", Double, nullable=False),
    sqlite_with_rowid=False,
)
