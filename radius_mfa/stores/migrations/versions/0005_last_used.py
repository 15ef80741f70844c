"""Schema version 5: when each token was last used, beside its step, so that a login writes one row less."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column; until a token is used again, `user_counters.last_success` knows."""
    op.add_column("totp_token", sa.Column("last_used", sa.Double))
