"""What the answer to a bind says of a password.

A bind that succeeds is not yet a right password, and one that fails may have been one: servers say the
rest in a control, in words, or by results of their own.  All of it stands here.
"""

from __future__ import annotations

import re

from radius_mfa.core.ports import Password
from radius_mfa.directories.ldap_messages import (
    INAPPROPRIATE_AUTHENTICATION,
    INVALID_CREDENTIALS,
    INVALID_DN_SYNTAX,
    NO_SUCH_OBJECT,
    SUCCESS,
    Result,
)

_CONSTRAINT_VIOLATION, _UNWILLING_TO_PERFORM = 19, 53

_BY_RESULT = {
    SUCCESS: Password.RIGHT,
    INVALID_CREDENTIALS: Password.WRONG,
    # The entry is gone since it was found, its name is none for a bind, or it has no password.
    NO_SUCH_OBJECT: Password.WRONG,
    INVALID_DN_SYNTAX: Password.WRONG,
    INAPPROPRIATE_AUTHENTICATION: Password.WRONG,
    # 389 Directory Server: too many tries, and an account that is inactivated; whatever the password was.
    _CONSTRAINT_VIOLATION: Password.LOCKED,
    _UNWILLING_TO_PERFORM: Password.LOCKED,
}

# Errors of the password policy control that a bind may have (draft-behera-ldap-password-policy-10 §6.2, §9.1).
_PASSWORD_EXPIRED, _ACCOUNT_LOCKED, _CHANGE_AFTER_RESET = 0, 1, 2
_BY_POLICY = {
    (SUCCESS, _CHANGE_AFTER_RESET): Password.MUST_CHANGE,
    (INVALID_CREDENTIALS, _PASSWORD_EXPIRED): Password.EXPIRED,
    (INVALID_CREDENTIALS, _ACCOUNT_LOCKED): Password.LOCKED,
    # Against the draft; but whoever says so does not want the user in.
    (SUCCESS, _PASSWORD_EXPIRED): Password.EXPIRED,
    (SUCCESS, _ACCOUNT_LOCKED): Password.LOCKED,
}

# Active Directory's reason for an INVALID_CREDENTIALS, a Windows error code ([MS-ERREF] 2.2) in hexadecimal.
# From 530 to 773 only whoever has the right password is told.
_SUB_CODE = re.compile(r"AcceptSecurityContext error, data ([0-9a-f]{1,8})\b", re.IGNORECASE)
_BY_SUB_CODE = {
    0x525: Password.WRONG,  # no such user
    0x52E: Password.WRONG,
    0x530: Password.RESTRICTED,  # not at this hour
    0x531: Password.RESTRICTED,  # not from this workstation
    0x532: Password.EXPIRED,
    0x533: Password.DISABLED,
    0x701: Password.DISABLED,  # the account has expired
    0x773: Password.MUST_CHANGE,
    0x775: Password.LOCKED,  # whatever the password was
}


def verdict(result: Result) -> Password | None:
    """What `result`, of a bind with a user's password, says of it; None where that is nothing."""
    if result.policy is not None:
        said = _BY_POLICY.get((result.code, result.policy))
        if said is not None or result.code == SUCCESS:
            return said  # a success with an error of which nobody knows what it means here is none
    if result.code == INVALID_CREDENTIALS and (found := _SUB_CODE.search(result.text)):
        return _BY_SUB_CODE.get(int(found[1], 16), Password.WRONG)
    return _BY_RESULT.get(result.code)
