"""Forms that are good once."""

from radius_mfa.portal.once import Once


def test_a_form_is_good_once_unless_nothing_was_made_by_it() -> None:
    once = Once()
    assert once.take("a")
    assert not once.take("a")
    once.give_back("a")
    assert once.take("a")


def test_only_the_latest_are_remembered() -> None:
    once = Once()
    assert all(once.take(str(number)) for number in range(10_001))
    assert once.take("0")
    assert not once.take("10000")
