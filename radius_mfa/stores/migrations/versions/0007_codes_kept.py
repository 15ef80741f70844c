"""Schema version 7: which codes were used, and since when a code that was given counts."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add both columns; nobody has been let in for the sake of an earlier code but at a trusted device."""
    op.add_column("login", sa.Column("code", sa.LargeBinary))
    op.add_column(
        "user_counters", sa.Column("codes_since", sa.Double, nullable=False, server_default=sa.text("0"))
    )
