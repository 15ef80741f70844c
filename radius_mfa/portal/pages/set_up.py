"""The first set-up, a step a page; whoever comes back later goes on where they were.

Nothing is kept of how far somebody is but what they have: a step is done when there is an app, an address, codes.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response

from radius_mfa.core.messages import FactorKind
from radius_mfa.core.self_service import Result
from radius_mfa.portal.context import Context
from radius_mfa.portal.guarded import Needs, Route
from radius_mfa.portal.pages import addresses, apps
from radius_mfa.portal.pages.clock import clock_of
from radius_mfa.portal.pages.recovery_codes import new_codes
from radius_mfa.portal.pages.results import problem_of, status_of

CLOCK, APP, ADDRESS, CODES = "clock", "app", "address", "codes"
_START, _DONE = "/set-up", "/set-up/done"


@dataclass(frozen=True, slots=True)
class Progress:
    """`steps`: in order; `done`: those that need not be gone through (again)."""

    steps: tuple[str, ...]
    done: frozenset[str]

    @property
    def left(self) -> tuple[str, ...]:
        """What is still to be done."""
        return tuple(each for each in self.steps if each not in self.done)

    def after(self, step: str) -> str:
        """Where it goes on after that step, be it done or skipped."""
        at = self.steps.index(step) + 1 if step in self.steps else 0
        return next((path_of(each) for each in self.steps[at:] if each not in self.done), _DONE)


def path_of(step: str) -> str:
    """The page of a step."""
    return f"{_START}/{step}"


async def progress_of(it: Context) -> Progress:
    """How far somebody is.  Who starts anew has nothing yet, whatever there still is."""
    steps = _steps(it)
    if it.here.anew:
        return Progress(steps, frozenset({CLOCK} if it.here.pending else ()))
    facts = await it.house.self_service.facts(it.here.user_id)
    if it.here.factor is not None and not it.house.self_service.suffices(it.here, facts):
        steps = tuple(each for each in steps if each != CODES)  # they would be refused
    waiting = await addresses.waiting(it)
    done = set()
    details = await it.house.store.token_details(it.here.user_id)
    if any(each.confirmed or each.good_from for each in details):
        done |= {CLOCK, APP}
    elif it.here.pending:
        done.add(CLOCK)
    if facts.mail_address or (waiting is not None and waiting.good_from):
        done.add(ADDRESS)
    if facts.recovery_left:
        done.add(CODES)
    return Progress(steps, frozenset(done))


def _steps(it: Context) -> tuple[str, ...]:
    settings = it.house.settings
    app = (CLOCK, APP) if FactorKind.TOTP in settings.served else ()
    address = (ADDRESS,) if FactorKind.MAIL in settings.served else ()
    codes = (CODES,) if FactorKind.RECOVERY_CODES in settings.served else ()
    by_mail_first = settings.first is FactorKind.MAIL and not it.here.anew
    return (*address, *app, *codes) if by_mail_first else (*app, *address, *codes)


async def _barred(it: Context, step: str) -> Response | None:
    """Where somebody goes instead who may not add what the step is for, or not now."""
    if it.here.anew and step == ADDRESS:
        return it.go(_START)  # all is reset with the new app, and not before
    facts = await it.house.self_service.facts(it.here.user_id)
    how = it.house.self_service.how_to_add(it.here, facts, inside=it.is_inside)
    if how is Result.AGAIN:
        return it.again(path_of(step))
    return None if how in (Result.DONE, Result.WAITING) else it.go(_START)


async def _page(it: Context, step: str, status: int = 200, **values: object) -> Response:
    progress = await progress_of(it)
    later = progress.after(APP if step == CLOCK else step) if it.here.factor is not None else None
    values = {"problem": None, "progress": progress, "step": step, "later": later} | values
    return it.page(f"set_up/{step}.html", status, **values)


# --- whether, and where to --------------------------------------------------------------------------


async def begin(it: Context) -> Response:
    """To the first step that is not done; or what keeps somebody from it."""
    facts = await it.house.self_service.facts(it.here.user_id)
    how = it.house.self_service.how_to_add(it.here, facts, inside=it.is_inside)
    if how is Result.SIGN_IN_ANEW:
        return it.page("set_up/over.html")
    left = (await progress_of(it)).left
    if how is Result.NOT_ADMITTED or (it.here.factor is None and left[:1] in ((), (CODES,))):
        return it.page("set_up/voucher.html", problem=None)
    return it.go(path_of(left[0]) if left else _DONE)


async def voucher(it: Context) -> Response:
    """What the help desk has given them, in place of being on the campus."""
    if not it.house.settings.voucher:
        return it.go(_START)
    result = await it.house.self_service.show_voucher(it.here, it.form.get("code", ""))
    if result is Result.WRONG:
        return it.page("set_up/voucher.html", 422, problem=problem_of(it, "set_up", result))
    return it.go(_START)


# --- the clock, and the app -------------------------------------------------------------------------


async def clock(it: Context) -> Response:
    """Codes are made of the time: a phone that is off by minutes would never get in."""
    return await _barred(it, CLOCK) or await _page(it, CLOCK, clock=clock_of(it))


async def clock_is_right(it: Context) -> Response:
    """On to the app, for which there is a seed from now on."""
    barred = await _barred(it, CLOCK)
    if barred is not None:
        return barred
    await it.house.self_service.seed_for(it.here)
    return it.go(path_of(APP))


async def app(it: Context) -> Response:
    """What to scan."""
    return await _barred(it, APP) or await _app(it)


async def _app(it: Context, status: int = 200, problem: object = None) -> Response:
    shown = await apps.app_of(it, apps.label_of(it))
    if shown is None:
        return it.go(_START)
    return await _page(it, APP, status, app=shown, problem=problem)


async def app_shows(it: Context) -> Response:
    """The first code of it."""
    result = await apps.add_app(it)
    if result is Result.AGAIN:
        return it.again(path_of(CLOCK), "tokens.said_again")
    if result in (Result.WRONG, Result.CLOCK_WRONG):
        return await _app(it, status_of(result), problem_of(it, "tokens", result))
    if result in (Result.DONE, Result.WAITING):
        return it.go(await _onward(it, APP), f"tokens.said_{result.value}")
    return it.go(_START)


async def _onward(it: Context, step: str) -> str:
    return (await progress_of(it)).after(step)


# --- the address ------------------------------------------------------------------------------------


async def address(it: Context) -> Response:
    """Where codes are mailed to."""
    return await _barred(it, ADDRESS) or await _address(it)


async def _address(it: Context, status: int = 200, problem: object = None) -> Response:
    return await _page(it, ADDRESS, status, address=it.form.get("address", ""), problem=problem)


async def address_given(it: Context) -> Response:
    """Mail a code there."""
    return await _sent(it, await addresses.propose(it, it.form.get("address", "")))


async def address_again(it: Context) -> Response:
    """Mail another one."""
    return await _sent(it, await addresses.propose_again(it))


async def _sent(it: Context, result: Result) -> Response:
    if result is Result.SENT:
        return it.go("/set-up/address/code", "address.said_sent")
    if result is Result.AGAIN:
        return it.again(path_of(ADDRESS))
    if result in (Result.UNREADABLE, Result.BLOCKED, Result.TOO_MANY):
        return await _address(it, status_of(result), problem_of(it, "address", result))
    return it.go(_START)


async def address_code(it: Context) -> Response:
    """For the code that was mailed."""
    return await _barred(it, ADDRESS) or await _address_code(it)


async def _address_code(it: Context, status: int = 200, problem: object = None) -> Response:
    proposal = await addresses.unconfirmed(it)
    if proposal is None:
        return it.go(path_of(ADDRESS))
    progress = await progress_of(it)
    values = {"progress": progress, "step": ADDRESS, "later": None, "problem": problem}
    return it.page("set_up/address_code.html", status, proposal=proposal, **values)


async def address_confirmed(it: Context) -> Response:
    """The code that was mailed."""
    result = await addresses.confirm(it)
    if result is Result.AGAIN:
        return it.again("/set-up/address/code")
    if result is Result.WRONG:
        return await _address_code(it, 422, problem_of(it, "address", result))
    if result in (Result.DONE, Result.WAITING):
        return it.go(await _onward(it, ADDRESS), f"address.said_{result.value}")
    return it.go(_START)


# --- recovery codes, and the end --------------------------------------------------------------------


async def codes(it: Context) -> Response:
    """What they are for; who may make none is told so where they stand."""
    if CODES not in (await progress_of(it)).steps:
        return it.go("/recovery-codes")
    return await _page(it, CODES, codes=None)


async def codes_made(it: Context) -> Response:
    """They are shown now, and never again."""
    made = await new_codes(it)
    if made is Result.ALREADY:
        return await _page(it, CODES, 403, codes=None, problem=it.t("codes.made_already"))
    if made is Result.AGAIN:
        return it.again(path_of(CODES))
    if isinstance(made, Result):
        return await _page(it, CODES, status_of(made), codes=None, problem=problem_of(it, "codes", made))
    return await _page(it, CODES, codes=made)


async def done(it: Context) -> Response:
    """What now."""
    return it.page("set_up/done.html", progress=await progress_of(it), step="")


ROUTES = (
    Route("/set-up", begin, Needs.VISIT),
    Route("/set-up", voucher, Needs.VISIT, post=True),
    Route("/set-up/clock", clock, Needs.VISIT),
    Route("/set-up/clock", clock_is_right, Needs.VISIT, post=True),
    Route("/set-up/app", app, Needs.VISIT),
    Route("/set-up/app", app_shows, Needs.VISIT, post=True),
    Route("/set-up/address", address, Needs.VISIT),
    Route("/set-up/address", address_given, Needs.VISIT, post=True),
    Route("/set-up/address/code", address_code, Needs.VISIT),
    Route("/set-up/address/code", address_confirmed, Needs.VISIT, post=True),
    Route("/set-up/address/again", address_code, Needs.VISIT),
    Route("/set-up/address/again", address_again, Needs.VISIT, post=True),
    Route("/set-up/codes", codes, Needs.FACTOR),
    Route("/set-up/codes", codes_made, Needs.FACTOR, post=True),
    Route("/set-up/done", done, Needs.FACTOR),
)
