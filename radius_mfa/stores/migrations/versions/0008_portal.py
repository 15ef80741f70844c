"""Schema version 8: what the portal keeps; tokens and addresses that wait; where a mailed code was asked for."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make the tables, and add the columns: nothing waits yet, and nobody knows where the codes were asked for."""
    _visits()
    _links()
    _cases()
    op.add_column("mail_code", sa.Column("client", sa.Text, nullable=False, server_default=""))
    waits = sa.text("good_from > 0")
    for table in ("totp_token", "proposal"):
        op.add_column(table, sa.Column("good_from", sa.Double, nullable=False, server_default=sa.text("0")))
        name = f"{table}_that_waits"
        op.create_index(name, table, ["good_from"], sqlite_where=waits, postgresql_where=waits)


def _visits() -> None:
    op.create_table(
        "visit",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("username", sa.Text, nullable=False),
        sa.Column("language", sa.Text, nullable=False),
        sa.Column("factor", sa.Text, nullable=False),
        sa.Column("desk", sa.Boolean, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("begun", sa.Double, nullable=False),
        sa.Column("shown", sa.Double, nullable=False),
        sa.Column("seen", sa.Double, nullable=False),
        sa.Column("expires", sa.Double, nullable=False),
        sa.Column("voucher", sa.Text, nullable=False),
        sa.Column("anew", sa.Boolean, nullable=False),
        sa.Column("pending", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("visit_by_user", "visit", ["user_id"])
    op.create_index("visit_by_expiry", "visit", ["expires"])


def _links() -> None:
    op.create_table(
        "link",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("username", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("expires", sa.Double, nullable=False),
        sa.Column("used", sa.Boolean, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("link_by_user", "link", ["user_id", "created"])
    op.create_index("link_by_expiry", "link", ["expires"])


def _cases() -> None:
    op.create_table(
        "help_case",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("username", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("answered", sa.Double, nullable=False),
        sa.Column("answered_by", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("help_case_by_user", "help_case", ["user_id", "kind", "answered"])
    op.create_index("help_case_by_answer", "help_case", ["answered", "created", "id"])
