"""Many policies: of all kinds that there are, and what finding the one that decides costs by itself."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median

from radius_mfa.assembly.rules import clients_of, load, rules_of
from radius_mfa.core.conditions import Situation
from radius_mfa.core.messages import AccessRequest, User
from radius_mfa.core.policy import Policies, evaluate
from radius_mfa.wire.dictionary import Dictionary

# Half of them about groups, as most sites' are.  None matches, so that the last policy decides.
_WHEN = (
    "{{client: vpn, group: group-{number}}}",
    "{{client: vpn, user: nobody-{number}}}",
    "{{group: [group-{number}, other-{number}], hours: '08:00-20:00'}}",
    "{{client: vpn, realm: realm-{number}}}",
    "{{client: vpn, group: group-{number}, days: mon-fri}}",
    "{{client: [vpn, branch], user: [nobody-{number}, nobody-else-{number}]}}",
    "{{client: vpn, group: group-{number}, not: {{user: nobody}}}}",
    "{{any: [{{station: 10.0.0.{octet}}}, {{NAS-Port-Type: Virtual, NAS-Port: {number}}}]}}",
)
_RUNS, _TIMES = 7, 2000


def other_policy(number: int) -> str:
    """A line of YAML: one that does not match."""
    when = _WHEN[number % len(_WHEN)].format(number=number, octet=number % 256)
    return f"  - {{name: policy-{number}, when: {when}, second_factor: required}}\n"


def deciding(config: Path) -> tuple[float, float]:
    """CPU µs until the last policy is found, as a login does it and by looking at one after another."""
    configuration = load(config, os.environ).configuration
    policies = rules_of(configuration, Dictionary.shipped()).policies
    nas = clients_of(configuration).called("vpn")
    assert nas is not None
    user = User("u0", "u0", "uid=u0", groups=frozenset({"staff", *(f"faculty-{each}" for each in range(20))}))
    request = AccessRequest(nas.nas, ((1, b"u0"),), b"", "127.0.0.1:1812", 0.0)
    index = Policies(policies)

    def situation() -> Situation:  # a new one each time, as each login's is
        return Situation(request, user, time.time(), configuration.timezone)

    assert index.deciding(situation()) is policies[-1]
    return _cost(lambda: index.deciding(situation())), _cost(lambda: evaluate(policies, situation()))


def _cost(work: Callable[[], object]) -> float:
    return median(_timed(work, range(_TIMES)) for _ in range(_RUNS))


def _timed(work: Callable[[], object], times: Iterable[int]) -> float:
    began = time.process_time()
    for _ in times:
        work()
    return (time.process_time() - began) / _TIMES * 1e6
