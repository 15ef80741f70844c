"""The tables, schema version 2: what a migration has to arrive at.

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

metadata = MetaData()

# Every user who has a token or an address, or ever guessed: whatever is known of them is found by this row.
# `username` is what the directory last called them.
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
    sqlite_with_rowid=False,
)

# A token's user is always in `user_counters`.  `seed` is sealed; one seed is one token of a user.
totp_token = Table(
    "totp_token",
    metadata,
    Column("id", Text, primary_key=True),
    Column("user_id", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("seed", LargeBinary, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("confirmed", Boolean, nullable=False),
    Column("last_step", BigInteger, nullable=False),
    Column("drift", Integer, nullable=False),
    Column("created", Double, nullable=False),
    # Its index is also the one by which a user's tokens are found.
    UniqueConstraint("user_id", "fingerprint", name="totp_token_one_per_seed"),
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
    Index("spent_state_by_expiry", "expires"),
    sqlite_with_rowid=False,
)

# Recent rounds that a code decided; the columns are fields of `core.messages.AuditEvent`.
login = Table(
    "login",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("time", Double, nullable=False),
    Column("login", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("username", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("station", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("factor", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("decision", Text, nullable=False),
    Index("login_by_user", "user_id", "time"),
    Index("login_by_time", "time"),
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
# order in which they were issued, whatever the clock said.
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
    Index("mail_code_by_user", "user_id", "number"),
    Index("mail_code_by_expiry", "expires"),
)

# Mails to be delivered: one for a code, and its id.  Whoever delivers one moves `due` ahead first.
outbox = Table(
    "outbox",
    metadata,
    Column("id", Text, primary_key=True),
    Column("address", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due", Double, nullable=False),
    Index("outbox_by_due", "due"),
    sqlite_with_rowid=False,
)

# Sources that have sent Message-Authenticator, and from then on must (`message_authenticator: auto`).
message_authenticator_seen = Table(
    "message_authenticator_seen",
    metadata,
    Column("client", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("since", Double, nullable=False),
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
