"""What may be raised."""

from radius_mfa.core.errors import ConfigurationError, place_of


def test_every_problem_of_a_configuration_is_a_line_of_its_own() -> None:
    error = ConfigurationError("a.yaml:1: x: unknown key", "a.yaml:2: y: missing")

    assert error.problems == ("a.yaml:1: x: unknown key", "a.yaml:2: y: missing")
    assert str(error) == "a.yaml:1: x: unknown key\na.yaml:2: y: missing"


def test_an_exception_is_known_by_where_it_was_raised_and_not_by_its_text() -> None:
    def deep() -> None:
        raise ValueError("a password")

    try:
        deep()
    except ValueError as broken:
        raised = broken

    file, _, line = place_of(raised).rpartition(":")
    assert file == __file__
    assert int(line) == deep.__code__.co_firstlineno + 1
    assert place_of(ValueError("never raised")) == "an unknown place"
