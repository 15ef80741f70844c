"""What each reason means, and what whoever runs the server does about it: docs/reference/reasons.md is made of it.

The reasons themselves are where they arise: `core.outcomes`, `core.acts`, `wire.walker`, `wire.clients`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from radius_mfa.core.acts import Act
from radius_mfa.core.outcomes import Outcome


class Reason(NamedTuple):
    """`means`: a sentence.  `do`: what to do about it, a sentence or two; "" where there is nothing to do."""

    means: str
    do: str = ""


_LOOK_AT_USER = "`radius-mfa user show USER` shows what is set up."
_SHARED_SECRET = "Compare the client's `secret` with the gateway's."
_LOG_IN_ANEW = "Nothing: the user logs in anew."

OUTCOMES: Mapping[Outcome, Reason] = {
    Outcome.ACCEPTED: Reason(
        "Password and code were right.",
        "Nothing. `detail` says how many wrong codes came before it: many, again and again, are guesses.",
    ),
    Outcome.ACCEPTED_BY_PASSWORD: Reason(
        "The password was right, and the policy asks for no second factor. At the client `portal` nobody was let"
        " in by it: it was shown for a link, or with one.",
        "Nothing, if that is meant. `radius-mfa explain USER --client NAME` says which policy decided.",
    ),
    Outcome.ACCEPTED_UNENROLLED: Reason(
        "The user has never had a second factor, and the policy's `unenrolled` lets them in until its date.",
        "Have them set one up before that.",
    ),
    Outcome.ACCEPTED_BY_DEVICE: Reason(
        "The password was right, and the device is trusted since a login with a code.",
        "Nothing. `radius-mfa device list USER` shows the devices, `device revoke` ends the trust.",
    ),
    Outcome.ACCEPTED_BY_SESSION: Reason(
        "802.1X: the device has taken up the TLS session of an earlier login with a code.",
        "Nothing. `eap.session_lifetime` says for how long.",
    ),
    Outcome.CHALLENGED: Reason(
        "The password was right, and a code was asked for.",
        "Nothing, unless it is the last line of a login: then the gateway shows no Access-Challenge (take a"
        " profile with one field), or the user gave up.",
    ),
    Outcome.MAIL_SENT: Reason(
        "A code by e-mail is on its way, or was already; `detail` is its reference.",
        "Where it does not arrive, look for mail in the log, and at the spam folder.",
    ),
    Outcome.METHOD_NOT_OFFERED: Reason(
        "The gateway sent CHAP, MS-CHAP, or EAP where that is not configured.",
        "Set the gateway to PAP: `detail` and its page say how. For Wi-Fi, configure `eap`.",
    ),
    Outcome.NO_PASSWORD: Reason(
        "There was no User-Password, or none that can be recovered (RFC 2865 §5.2).",
        "Look at what the gateway sends.",
    ),
    Outcome.NAME_UNREADABLE: Reason(
        "There was no User-Name, or one that is no UTF-8, has control characters, or has no user in it.",
        "Where it is everybody's, look at what the gateway sends.",
    ),
    Outcome.REALM_MISSING: Reason(
        "The client has `realm_required`, and the name had no realm.", "The user types `user@realm`."
    ),
    Outcome.REALM_NOT_SERVED: Reason(
        "The name has a realm that is not among the client's `realms`.", "Add it there if it is to be served."
    ),
    Outcome.PASSWORD_UNREADABLE: Reason(
        "What came out as the password is no text: no UTF-8, or with control characters.",
        _SHARED_SECRET + " If they differ, everybody's password comes out like this.",
    ),
    Outcome.EAP_FAILED: Reason(
        "802.1X: there was no EAP, no TLS tunnel, or none of the methods; `detail` says which.",
        "Mostly the device does not trust the certificate: see what devices have to be told.",
    ),
    Outcome.EAP_GONE: Reason(
        "802.1X: a conversation that nobody here knows any more.",
        "Nothing, unless it is frequent: then requests of one conversation reach different servers.",
    ),
    Outcome.UNKNOWN_USER: Reason(
        "The directory has no entry for the name.",
        "The user checks the name. Where it should be found, look at `base_dn`, `user_filter` and `realms`.",
    ),
    Outcome.AMBIGUOUS_USER: Reason(
        "The directory has more than one entry for the name.",
        "Make `user_filter` narrower, or the directory clean.",
    ),
    Outcome.USER_ID_UNUSABLE: Reason(
        "The attribute that `attributes.id` names has no value, several, or one that is too long.",
        "Name one that every user has exactly once, and that is never reused.",
    ),
    Outcome.NOT_ACTIVATED: Reason(
        "The entry does not match `active_filter`, or the account of the YAML is not `active`.",
        "Activate the account in the directory.",
    ),
    Outcome.NO_POLICY: Reason(
        "The password was right, and no policy decides for this user at this client.",
        "`radius-mfa explain USER --client NAME` says why each did not.",
    ),
    Outcome.WRONG_PASSWORD: Reason(
        "The directory says that the password is wrong.", "The user tries again, or sets a new one."
    ),
    Outcome.WRONG_PASSWORD_AGAIN: Reason(
        "The password that was wrong just now came again; the directory was not asked.",
        "A device with an old password stored sends it: change it there.",
    ),
    Outcome.TOO_MANY_WRONG_PASSWORDS: Reason(
        "So many wrong passwords came that the directory is not asked for a while, lest it lock the account.",
        "Find in the audit file where they come from: a forgotten device, or somebody who guesses. It is over"
        " after `wrong_passwords.within`.",
    ),
    Outcome.PASSWORD_EXPIRED: Reason(
        "The directory says that the password has expired.", "The user changes it: `password_url` says where."
    ),
    Outcome.PASSWORD_MUST_CHANGE: Reason(
        "The directory says that the password must be changed first.",
        "The user changes it: `password_url` says where.",
    ),
    Outcome.ACCOUNT_DISABLED: Reason("The directory says that the account is disabled.", "Ask who disabled it."),
    Outcome.ACCOUNT_RESTRICTED: Reason(
        "The directory says that the account may not log in at this hour, or from here.",
        "Look at the restrictions of the account in the directory.",
    ),
    Outcome.ACCOUNT_LOCKED: Reason(
        "The directory says that the account is locked.",
        "Unlock it there, and find out what sent the wrong passwords. Keep `wrong_passwords.limit` below the"
        " directory's own.",
    ),
    Outcome.REPLY_UNUSABLE: Reason(
        "What the policy returns cannot be made of this user's entry; `detail` says what.",
        "Mend the entry, or give the policy's `reply` a value for who has none.",
    ),
    Outcome.UNENROLLED: Reason(
        "The password was right, and no second factor is set up that the policy takes.",
        "The user sets one up in the portal, with `radius-mfa user voucher USER` where that takes one; or"
        " `radius-mfa user enrol USER`.",
    ),
    Outcome.CODE_MISSING: Reason(
        "One-field mode, and there was only a password in the field.",
        "The user types `password,123456`. Where the gateway can show a challenge, give it another profile.",
    ),
    Outcome.MAIL_LIMIT: Reason(
        "No more codes are mailed to this user today, or `mail` was typed too often.",
        "Another factor, or tomorrow; `factors.mail.per_day` is the limit. Who did not ask for the mails: somebody"
        " else has the password.",
    ),
    Outcome.LOCKED: Reason(
        "Too many wrong codes: nothing counts until the lock is over.",
        "Wait, or make sure who it is and `radius-mfa user unlock USER`. If it was not the user, somebody has the"
        " password: have it changed.",
    ),
    Outcome.SUSPENDED: Reason(
        "Too many wrong codes: those of the app count no more until another factor was right.",
        "A mailed or a recovery code lifts it, or `radius-mfa user unlock USER` once it is sure who it is."
        " If it was not the user, have the password changed.",
    ),
    Outcome.OUTER_NAME_OF_ANOTHER: Reason(
        "802.1X: outside of the tunnel stands the name of another user.",
        "Set the device's outer identity to `anonymous@…`, or to the user's own name.",
    ),
    Outcome.SESSION_OVER: Reason(
        "802.1X: the TLS session that the device took up is worth nothing any more.",
        "Nothing: the device logs in anew, with password and code.",
    ),
    Outcome.STATE_UNREADABLE: Reason(
        "The State is forged, cut, or sealed under a key that is not there.",
        "After a change of keys, or with several nodes: do all have the same key file (`radius-mfa keys list`)?",
    ),
    Outcome.STATE_EXPIRED: Reason(
        "The answer came later than `challenge_lifetime`.", _LOG_IN_ANEW + " Where it is many, allow more time."
    ),
    Outcome.STATE_OF_ANOTHER_CLIENT: Reason(
        "The State was issued to another client.",
        "A gateway that asks from two addresses is one client: list both under `address`. Else somebody replays.",
    ),
    Outcome.STATE_OF_ANOTHER_USER: Reason(
        "The State was issued to another user.", "The gateway mixes up logins, or somebody replays."
    ),
    Outcome.STATE_SPENT: Reason(
        "The challenge was answered already, with something else, or the login has ended.", _LOG_IN_ANEW
    ),
    Outcome.POLICY_GONE: Reason(
        "The policy that asked for the code is not in the configuration any more.", _LOG_IN_ANEW
    ),
    Outcome.USER_GONE: Reason(
        "Looked at again, the entry is another one, or is not activated any more.", "Look at the user's entry."
    ),
    Outcome.ANSWER_UNREADABLE: Reason(
        "What was typed is neither a code nor a word that means something.",
        "Nothing, mostly the password typed once more.",
    ),
    Outcome.FACTOR_NOT_ALLOWED: Reason(
        "A code of a factor that this policy does not take or this user does not have.",
        _LOOK_AT_USER + " The policy's `factors` say what it takes.",
    ),
    Outcome.CODE_WRONG: Reason(
        "The code is not right.",
        "If it is so each time: another account's code, or a clock (`radius-mfa token resync USER CODE CODE`).",
    ),
    Outcome.CODE_WRONG_AGAIN: Reason(
        "One-field mode: the wrong code of before was sent again, and is not counted.",
        "A device has stored the line: delete it there.",
    ),
    Outcome.CODE_USED: Reason(
        "The code was used already.",
        "The user waits for the next one. In one-field mode: a device that stored it.",
    ),
    Outcome.CLOCK_WRONG: Reason(
        "The code belongs to a time just outside of what is accepted.",
        "Automatic time on the phone; for a device that has none `radius-mfa token resync USER CODE CODE`. If it"
        " is everybody, the clock of the server.",
    ),
    Outcome.SECRET_UNREADABLE: Reason(
        "What is stored to judge the code by opens under none of our keys.",
        "The key file is not that of the store: bring the right one back, or enrol the user anew.",
    ),
    Outcome.DIRECTORY_FAILED: Reason(
        "The directory did not answer, or not in time; `detail` says what it said.",
        "`radius-mfa check --probe` tries it. Nobody is let in meanwhile (`when_directory_fails`).",
    ),
    Outcome.STORE_FAILED: Reason(
        "The store did not answer, or not in time; `detail` says what it said.",
        "`radius-mfa check --probe` tries it. A full disk, or PostgreSQL that is away.",
    ),
    Outcome.INTERNAL_ERROR: Reason("A mistake of ours.", "Please report the line of the log with it."),
}

# What was done in the portal or with a command of its own; `by` of the event says who of the help desk did it.
ACTS: Mapping[Act, str] = {
    Act.SIGNED_IN: "Somebody signed in to the portal; how, the login's own line says.",
    Act.SIGNED_OUT: "They signed out.",
    Act.VOUCHER_SHOWN: "A voucher was shown, before a first factor is set up.",
    Act.TOKEN_ADDED: "An authenticator app was added.",
    Act.TOKEN_REMOVED: "An app was removed.",
    Act.TOKEN_RENAMED: "An app got another name.",
    Act.TOKEN_TESTED: "A code was tried on the page for it.",
    Act.ADDRESS_PROPOSED: "A notification address was given, and a code mailed there.",
    Act.ADDRESS_SET: "An address was confirmed.",
    Act.WAITING_CANCELLED: "An app or an address that was to count after a while was cancelled.",
    Act.RECOVERY_CODES_MADE: "New recovery codes were made; the old ones are worth nothing.",
    Act.DEVICE_REVOKED: "A device is trusted no longer.",
    Act.LOGIN_DISOWNED: "The user said of a login: that was not me. Somebody knows the password.",
    Act.LINK_ASKED: "Who can show no factor any more asked for a link to start anew.",
    Act.LINK_USED: "The link was opened, with the password.",
    Act.STARTED_ANEW: "By the link there is a new app, and all factors of before are gone.",
    Act.HELP_ASKED: "There is no address to mail a link to: a case in the help desk's queue.",
    Act.LOOKED_AT: "The help desk looked at the user.",
    Act.UNLOCKED: "The help desk lifted a lock or a suspension.",
    Act.RESET: "The help desk ended every factor of the user.",
    Act.VOUCHER_ISSUED: "The help desk gave out a voucher.",
    Act.CASE_ANSWERED: "The help desk answered a case of its queue.",
}
