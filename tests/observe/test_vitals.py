"""Whether every process lives and logins can end well: as this process knows, and as others have written."""

from __future__ import annotations

import orjson

from radius_mfa.observe.health import DIRECTORY, MAIL, STORE
from radius_mfa.observe.metrics import Counts
from radius_mfa.observe.vitals import Stage, Vitals, signs_on

ALL_WORK = {DIRECTORY: True, STORE: True}


NOW = 1000.0  # monotonic seconds


def now() -> float:
    return NOW


def worker(*, directory: bool = True, seconds_ago: float = 0.0) -> bytes:
    """What a worker has written so long before `NOW`."""
    counts = Counts()
    counts.watch("up", lambda: {(DIRECTORY,): directory, (STORE,): True, (MAIL,): False})
    _, *rest = orjson.loads(counts.export())
    return orjson.dumps([NOW - seconds_ago, *rest])


def background(*slates: bytes | None) -> Vitals:
    """Of a server whose workers have written this, which has begun."""
    named = {f"worker-{number}": octets for number, octets in enumerate(slates)}
    vitals = Vitals("background", dict, lambda: signs_on(named), now)
    vitals.stage = Stage.SERVING
    return vitals


def test_one_that_has_begun_and_whose_parts_work_is_ready() -> None:
    vitals = Vitals("server", lambda: ALL_WORK)
    assert (vitals.ails(), vitals.unready()) == ((), ("server: it is starting",))
    vitals.stage = Stage.SERVING
    assert (vitals.ails(), vitals.unready()) == ((), ())
    vitals.stage = Stage.STOPPING
    assert (vitals.ails(), vitals.unready()) == ((), ("server: it is stopping",))


def test_without_mail_others_log_in_and_without_directory_or_store_nobody_does() -> None:
    for part in ALL_WORK:
        vitals = Vitals("server", lambda part=part: {**ALL_WORK, part: False})  # type: ignore[misc]
        vitals.stage = Stage.SERVING
        assert (vitals.ails(), vitals.unready()) == ((), (f"{part}: it does not work",))
    assert background(worker(), worker()).unready() == ()


def test_a_part_works_where_it_does_for_every_worker() -> None:
    vitals = background(worker(), worker(directory=False), worker(directory=False))
    assert vitals.unready() == ("directory: it does not work",)


def test_a_worker_that_has_not_begun_is_waited_for() -> None:
    vitals = background(worker(), None, b"not what a worker writes")
    assert vitals.unready() == ("worker-1: it is starting", "worker-2: it is starting")
    assert vitals.ails() == ()


def test_a_worker_that_says_nothing_any_more_ails() -> None:
    vitals = background(worker(seconds_ago=9.0), worker(seconds_ago=12.3))
    assert vitals.ails() == vitals.unready() == ("worker-1: no sign of life for 12 seconds",)


def test_a_process_whose_own_loop_stands_still_ails() -> None:
    times = [NOW]
    own = Vitals("server", lambda: ALL_WORK, clock=lambda: times[-1])
    own.stage = Stage.SERVING
    times.append(NOW + 9.9)
    assert own.ails() == ()
    times.append(NOW + 30.0)
    assert own.ails() == own.unready() == ("server: no sign of life for 30 seconds",)
    own.beat()
    assert own.ails() == own.unready() == ()
