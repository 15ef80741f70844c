"""Schema version 6: a user's tokens lie together, and so do a user's logins: a login writes fewer pages."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_BEFORE = "of_version_5"  # a table, while the versions are run
_TOKEN = "id, user_id, label, seed, fingerprint, confirmed, last_step, drift, created, told_steps"
_LOGIN = "time, login, user_id, username, client, station, source, policy, factor, outcome, decision"


def upgrade() -> None:
    """Make both tables anew: the engines cannot change what a row is found by."""
    if op.get_bind().dialect.name == "postgresql":
        # Else a server of the version before could still write what was copied already, and it would be lost.
        op.execute("LOCK TABLE totp_token, login IN ACCESS EXCLUSIVE MODE")
    _put_aside("totp_token")
    _make_token()
    # The time was that of the last success there as well, and is called so now.
    op.execute(f"INSERT INTO totp_token ({_TOKEN}, last_success) SELECT {_TOKEN}, last_used FROM {_BEFORE}")
    op.drop_table(_BEFORE)
    _put_aside("login")
    _make_login()
    # Nobody wrote down which round it was; 0 is none, and tells apart what would be the same.
    op.execute(f"""
        INSERT INTO login ({_LOGIN}, round)
        SELECT {_LOGIN}, 1 - row_number() OVER (PARTITION BY user_id, time, login ORDER BY id) FROM {_BEFORE}""")
    op.drop_table(_BEFORE)


def _put_aside(table: str) -> None:
    """Its rows are in `_BEFORE`, and its name and its indices' are free."""
    op.execute(f"CREATE TABLE {_BEFORE} AS SELECT * FROM {table}")
    op.drop_table(table)


def _make_token() -> None:
    op.create_table(
        "totp_token",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("seed", sa.LargeBinary, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary, primary_key=True),
        sa.Column("confirmed", sa.Boolean, nullable=False),
        sa.Column("last_step", sa.BigInteger, nullable=False),
        sa.Column("drift", sa.Integer, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("told_steps", sa.Text, nullable=False, server_default=""),
        sa.Column("last_success", sa.Double),
        sa.UniqueConstraint("id", name="totp_token_once"),
        sqlite_with_rowid=False,
    )


def _make_login() -> None:
    op.create_table(
        "login",
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("time", sa.Double, primary_key=True),
        sa.Column("login", sa.Text, primary_key=True),
        sa.Column("round", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("username", sa.Text, nullable=False),
        sa.Column("client", sa.Text, nullable=False),
        sa.Column("station", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("factor", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("decision", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("login_by_time", "login", ["time"])
