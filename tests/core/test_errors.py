"""What may be raised."""

from radius_mfa.core.errors import ConfigurationError


def test_every_problem_of_a_configuration_is_a_line_of_its_own() -> None:
    error = ConfigurationError("a.yaml:1: x: unknown key", "a.yaml:2: y: missing")

    assert error.problems == ("a.yaml:1: x: unknown key", "a.yaml:2: y: missing")
    assert str(error) == "a.yaml:1: x: unknown key\na.yaml:2: y: missing"
