"""Schema version 7: which codes were sent in one field, and since when a code that was given counts."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add both columns.  Since 0: of all that there are, for there are no TLS sessions yet."""
    op.add_column("login", sa.Column("code", sa.LargeBinary))
    known = sa.text("code IS NOT NULL")
    op.create_index("login_by_code", "login", ["code"], sqlite_where=known, postgresql_where=known)
    op.add_column(
        "user_counters", sa.Column("codes_since", sa.Double, nullable=False, server_default=sa.text("0"))
    )
