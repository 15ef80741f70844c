"""What was typed as the user's name, before anybody is looked up by it."""

import unicodedata


def read(octets: bytes | None) -> str | None:
    """The User-Name as text, outer white space removed; None when no account can be called that.

    It must be UTF-8 (RFC 2865 §5.1), have something in it, and no control characters.
    """
    try:
        name = (octets or b"").decode()
    except UnicodeDecodeError:
        return None
    if any(unicodedata.category(each) == "Cc" for each in name):
        return None
    return name.strip() or None


def fold(name: str) -> str:
    """One spelling for all that mean the same name: compatibility forms, case and outer space are nothing."""
    return unicodedata.normalize("NFKC", name).casefold().strip()
