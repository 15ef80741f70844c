"""Schema version 3: recovery codes, proposals, vouchers, trusted devices, nodes; who is required."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make their tables, and widen those that are there."""
    _recovery_codes()
    _given_once(
        "proposal", sa.Column("address", sa.Text, nullable=False), sa.Column("reference", sa.Text, nullable=False)
    )
    _given_once("voucher")
    _trusted_devices()
    _nodes()
    _widen_outbox()
    op.add_column("spent_state", sa.Column("has_suspended", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("totp_token", sa.Column("told_steps", sa.Text, nullable=False, server_default=""))
    op.add_column("user_counters", sa.Column("required", sa.Boolean, nullable=False, server_default=sa.false()))
    op.execute("""
        UPDATE user_counters SET required = TRUE
        WHERE EXISTS (SELECT 1 FROM totp_token t WHERE t.user_id = user_counters.user_id AND t.confirmed)
           OR EXISTS (SELECT 1 FROM mail_address m WHERE m.user_id = user_counters.user_id)""")


def _recovery_codes() -> None:
    op.create_table(
        "recovery_code",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("code", sa.LargeBinary, nullable=False),
        sa.Column("used", sa.Boolean, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("recovery_code_by_user", "recovery_code", ["user_id"])


def _given_once(name: str, *more: sa.Column[str]) -> None:
    """What a user has one of, with a code that may be guessed at."""
    op.create_table(
        name,
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        *more,
        sa.Column("code", sa.LargeBinary, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("expires", sa.Double, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )


def _trusted_devices() -> None:
    op.create_table(
        "trusted_device",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("scope", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("station", sa.Text, nullable=False),
        sa.Column("client", sa.Text, nullable=False),
        sa.Column("factor", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("expires", sa.Double, nullable=False),
        sa.UniqueConstraint("user_id", "station", "scope", name="trusted_device_once"),
        sqlite_with_rowid=False,
    )
    op.create_index("trusted_device_by_station", "trusted_device", ["station"])
    op.create_index("trusted_device_by_expiry", "trusted_device", ["expires"])
    op.create_table(
        "station_user",
        sa.Column("station", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("seen", sa.Double, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("station_user_by_time", "station_user", ["seen"])


def _nodes() -> None:
    op.create_table(
        "node",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("keys", sa.LargeBinary, nullable=False),
        sa.Column("seen", sa.Double, nullable=False),
        sqlite_with_rowid=False,
    )


def _widen_outbox() -> None:
    """Until now every mail had a code to log in with, and the rest was to be found there."""
    op.add_column("outbox", sa.Column("kind", sa.Text, nullable=False, server_default="code"))
    op.add_column("outbox", sa.Column("user_id", sa.Text, nullable=False, server_default=""))
    op.add_column("outbox", sa.Column("created", sa.Double, nullable=False, server_default=sa.text("0")))
    op.add_column("outbox", sa.Column("expires", sa.Double, nullable=False, server_default=sa.text("0")))
    op.create_index("outbox_by_user", "outbox", ["user_id"])
    for column in ("user_id", "created", "expires"):
        op.execute(f"""
            UPDATE outbox SET {column} = (SELECT c.{column} FROM mail_code c WHERE c.id = outbox.id)
            WHERE id IN (SELECT id FROM mail_code)""")
