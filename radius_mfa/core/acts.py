"""What people and the help desk do about second factors, as the audit file calls it.

A login ends with an `Outcome`; what is done in the portal is an `Act`, which was done or refused.
"""

from enum import StrEnum


class Act(StrEnum):
    """The values are what audit file and documents call it."""

    SIGNED_IN = "signed_in"  # to the portal; how, the login's own event says
    SIGNED_OUT = "signed_out"
    VOUCHER_SHOWN = "voucher_shown"  # before a first set-up
    TOKEN_ADDED = "token_added"
    TOKEN_REMOVED = "token_removed"
    TOKEN_RENAMED = "token_renamed"
    TOKEN_TESTED = "token_tested"
    ADDRESS_PROPOSED = "address_proposed"
    ADDRESS_SET = "address_set"
    WAITING_CANCELLED = "waiting_cancelled"  # a token or an address that was to count after a while
    RECOVERY_CODES_MADE = "recovery_codes_made"
    DEVICE_REVOKED = "device_revoked"
    LOGIN_DISOWNED = "login_disowned"  # "that was not me"
    LINK_ASKED = "link_asked"  # of who can show no factor any more
    LINK_USED = "link_used"
    STARTED_ANEW = "started_anew"  # all factors are gone, and there is a new token
    HELP_ASKED = "help_asked"  # no address to mail a link to: the help desk's queue

    # The help desk, for somebody else: the event says by whom.
    LOOKED_AT = "looked_at"
    UNLOCKED = "unlocked"
    RESET = "reset"
    VOUCHER_ISSUED = "voucher_issued"
    CASE_ANSWERED = "case_answered"
