"""Schema version 5: when a code of each token let its user in last, beside its step: a row less for a login."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column; until a token is used, `user_counters.last_success` knows."""
    op.add_column("totp_token", sa.Column("last_success", sa.Double))
