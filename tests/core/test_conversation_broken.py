"""Whatever is broken, and whenever: never an Access-Accept (rule 1)."""

import pytest

from radius_mfa.core.errors import BackendError, DirectoryError, StoreError
from radius_mfa.core.guard import Counters
from radius_mfa.core.messages import Discard, Message, Reject
from tests.adapters import COMMA, PASSWORD, Fuse, House, house

DIRECTORY = ("find", "check_password", "with_groups", "dummy_check")
STORE = ("facts", "spend", "settle")


def a_day_at_the_gateway(it: House) -> list[str]:
    """Logins that come by every call there is; what each round came to."""
    heard = [it.login("eve").says(PASSWORD), it.login("carol").says(PASSWORD)]
    login = it.login("alice")
    heard.append(login.says(PASSWORD))
    if login.state:
        heard += [login.says(it.wrong_code("alice")), login.says("hello"), login.says(it.code("alice"))]
    again = it.login("alice", COMMA)
    heard.append(again.says(f"{PASSWORD},{it.code('alice')}"))
    return heard


UNBROKEN = [
    "reject unknown_user",
    "reject not_activated",
    "challenge challenged",
    "challenge code_wrong",
    "challenge answer_unreadable",
    "accept accepted",
    "reject code_used",
]


def test_a_day_with_nothing_broken() -> None:
    with house() as it:
        it.enrol("alice")

        assert a_day_at_the_gateway(it) == UNBROKEN


@pytest.mark.parametrize("discard", [False, True], ids=["reject", "discard"])
@pytest.mark.parametrize(
    ("error", "calls", "outcome"),
    [
        (DirectoryError, DIRECTORY, "directory_failed"),
        (StoreError, STORE, "store_failed"),
    ],
)
def test_a_broken_backend_is_never_an_accept(
    error: type[BackendError], calls: tuple[str, ...], outcome: str, discard: bool
) -> None:
    """Each call of a day fails in turn; that round ends by `when_directory_fails`, all others as they would."""
    blown = []
    for at in range(100):
        with house(discard_when_broken=discard) as it:
            it.enrol("alice")
            fuse = Fuse(at, error, *calls)
            it.wire(fuse)
            heard = a_day_at_the_gateway(it)
        if not fuse.blown:
            break
        blown.append(fuse.blown)
        broken = f"{'discard' if discard else 'reject'} {outcome}"
        assert heard.count(broken) == 1
        assert heard.count("accept accepted") <= 1
        assert set(heard) <= {*UNBROKEN, broken, "reject state_spent"}

    assert set(blown) == set(calls)


@pytest.mark.parametrize("call", ["find", "check_password"])
def test_a_broken_directory_tells_staff_why_and_the_user_nothing_about_accounts(call: str) -> None:
    with house() as it:
        it.wire(Fuse(0, DirectoryError, call))
        login = it.login("alice")
        login.says(PASSWORD)

        assert isinstance(login.last.decision, Reject)
        assert login.last.decision.message == Message("refused")
        assert login.last.event.detail.startswith(f"{call} failed")


def test_discard_is_silence_with_an_audit_event() -> None:
    with house(discard_when_broken=True) as it:
        it.wire(Fuse(0, StoreError, "facts"))
        login = it.login("alice")

        assert login.says(PASSWORD) == "discard store_failed"
        assert isinstance(login.last.decision, Discard)
        assert login.last.event.user_name == "alice"  # the directory has said who that is


@pytest.mark.parametrize("right", [True, False])
def test_a_guess_whose_settling_failed_stays_counted_until_the_identical_answer_settles_it(right: bool) -> None:
    with house() as it:
        it.enrol("alice")
        login = it.challenged("alice")
        # Whoever asks for trust is not judged in the transaction that reserves.
        answer = f"{it.code('alice') if right else it.wrong_code('alice')} trust"
        it.wire(Fuse(0, StoreError, "settle"))

        assert login.says(answer) == "reject store_failed"
        assert it.counters("alice").failures == 1
        assert login.says(it.code("alice", 1)) == "reject state_spent"
        assert login.says(answer) == ("accept accepted" if right else "challenge code_wrong")
        assert it.counters("alice").failures == (0 if right else 1)


def test_an_answer_that_was_never_reserved_may_be_tried_again() -> None:
    with house() as it:
        it.enrol("alice")
        login = it.challenged("alice")
        it.wire(Fuse(0, StoreError, "spend"))

        assert login.says(it.code("alice")) == "reject store_failed"
        assert it.counters("alice") == Counters()
        assert login.says(it.code("alice", 1)) == "accept accepted"


def test_a_mistake_of_ours_while_a_code_is_looked_at_leaves_the_failure_counted() -> None:
    with house() as it:
        it.enrol("alice")
        login = it.challenged("alice")
        it.wire(Fuse(0, RuntimeError, "judge"))

        with pytest.raises(RuntimeError, match="judge failed"):
            login.says(it.code("alice"))
        assert it.counters("alice").failures == 1
        assert login.says(it.code("alice", 1)) == "reject state_spent"


def test_an_unexpected_exception_is_no_decision_at_all() -> None:
    """`service` refuses then; the core never guesses what a mistake of ours may mean."""
    raised = []
    for at in range(200):
        with house() as it:
            it.enrol("alice")
            fuse = Fuse(at, RuntimeError)
            it.wire(fuse)
            try:
                a_day_at_the_gateway(it)
            except RuntimeError:
                raised.append(fuse.blown)
        if not fuse.blown:
            break

    assert {
        *DIRECTORY,
        *STORE,
        "open",
        "seal",
        "digest",
        "other_digests",
        "usable",
        "judge",
        "wall",
        "octets",
    } == set(raised)
