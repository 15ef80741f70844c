"""Schema version 4: how often each source of a client sends Message-Authenticator, and how often not."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the table, with who was known to send one."""
    op.create_table(
        "client_source",
        sa.Column("client", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("first_seen", sa.Double, nullable=False),
        sa.Column("last_seen", sa.Double, nullable=False),
        sa.Column("signed", sa.BigInteger, nullable=False),
        sa.Column("unsigned", sa.BigInteger, nullable=False),
        sa.Column("last_signed", sa.Double, nullable=False),
        sa.Column("last_unsigned", sa.Double, nullable=False),
        sa.Column("forgotten", sa.Double, nullable=False, server_default=sa.text("0")),
        sqlite_with_rowid=False,
    )
    op.execute("""
        INSERT INTO client_source
            (client, source, first_seen, last_seen, signed, unsigned, last_signed, last_unsigned)
        SELECT client, source, since, since, 1, 0, since, 0 FROM message_authenticator_seen""")
    op.drop_table("message_authenticator_seen")
