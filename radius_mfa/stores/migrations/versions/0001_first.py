"""Schema version 1."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    _make_users()
    _make_spent_state()
    _make_login()
    _make_the_rest()


def _make_users() -> None:
    op.create_table(
        "user_counters",
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("username", sa.Text, nullable=False, server_default=""),
        sa.Column("failures", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("since_success", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("locks", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("locked_until", sa.Double, nullable=False, server_default=sa.text("0")),
        sa.Column("suspended", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("last_success", sa.Double),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "totp_token",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("seed", sa.LargeBinary, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("confirmed", sa.Boolean, nullable=False),
        sa.Column("last_step", sa.BigInteger, nullable=False),
        sa.Column("drift", sa.Integer, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.UniqueConstraint("user_id", "fingerprint", name="totp_token_one_per_seed"),
        sqlite_with_rowid=False,
    )


def _make_spent_state() -> None:
    op.create_table(
        "spent_state",
        sa.Column("login", sa.LargeBinary, primary_key=True),
        sa.Column("round", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("decision", sa.LargeBinary),
        sa.Column("expires", sa.Double, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("spent_state_by_expiry", "spent_state", ["expires"])


def _make_login() -> None:
    op.create_table(
        "login",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("time", sa.Double, nullable=False),
        sa.Column("login", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("username", sa.Text, nullable=False),
        sa.Column("client", sa.Text, nullable=False),
        sa.Column("station", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("factor", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("decision", sa.Text, nullable=False),
    )
    op.create_index("login_by_user", "login", ["user_id", "time"])
    op.create_index("login_by_time", "login", ["time"])


def _make_the_rest() -> None:
    op.create_table(
        "message_authenticator_seen",
        sa.Column("client", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("since", sa.Double, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "key_check",
        sa.Column("key_id", sa.LargeBinary, primary_key=True),
        sa.Column("proof", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
