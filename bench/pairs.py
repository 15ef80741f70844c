"""Two servers of ours that differ in one thing, beside each other: how little of it a login may feel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle, islice
from statistics import median

from bench.beside import Run, Server, in_turn
from bench.budget import workbench
from bench.directory import Directory, slapd
from bench.load import AT_ONCE, Load
from bench.policies import deciding
from bench.report import REST, budget_line
from bench.rig import SECRET, Rig, Site, rig
from bench.spread import Spread, ratio, spread
from radius_mfa.cli.common import run as run_on_loop

# So many log in where users are counted, so there are that many stored at least; again with the next code.
_FEW = 1000


@dataclass(frozen=True, slots=True)
class Pair:
    """`of` what there is less and more; `open`: challenges that are left unanswered before anything is measured.

    `people`: how many log in, if not everybody once.  `apart`: each server has a directory of its own.
    """

    what: str
    of: tuple[str, str]
    sites: tuple[Site, Site]
    open: tuple[int, int] = (0, 0)
    people: int = 0
    apart: bool = False


@dataclass(frozen=True, slots=True)
class Compared:
    """A pair, measured; the fields are keys of the JSON.  Ratios: the second over the first."""

    what: str
    of: tuple[str, str]
    logins: int
    accepted: int
    failures: dict[str, int]
    cpu: tuple[Spread, Spread]
    per_second: tuple[Spread, Spread]
    shares: tuple[dict[str, float], dict[str, float]]
    cpu_ratio: Spread
    per_second_ratio: Spread

    @property
    def is_whole(self) -> bool:
        return self.accepted == self.logins


WORKERS = Pair("workers", ("1", "2"), (Site(workers=1), Site(workers=2)), apart=True)
POLICIES = Pair("policies", ("5", "500"), (Site(policies=5), Site(policies=500)))


def flat(*, quick: bool) -> list[Pair]:
    """What a login is to cost the same with little and with much of; and the two stores."""
    stored, opened = (100_000, 10_000) if quick else (1_000_000, 100_000)
    patient = Site(lifetime="1h")  # what was opened first is still open at the end
    return [
        Pair("users", (f"{_FEW:,}", f"{stored:,}"), (Site(), Site(stored=stored)), people=_FEW),
        Pair("clients", ("10", "10,000"), (Site(clients=10), Site(clients=10_000))),
        POLICIES,
        Pair("challenges", ("10", f"{opened:,}"), (patient, patient), open=(10, opened)),
        Pair("store", ("SQLite", "PostgreSQL"), (Site(), Site(postgresql=True))),
    ]


@dataclass(frozen=True, slots=True)
class Beside:
    """How a pair is measured: `runs` of so many `logins` at each, and `pieces` logins taken apart in the end."""

    runs: int = 5
    logins: int = 1000
    pieces: int = 0

    @property
    def loads(self) -> int:
        return self.runs * self.logins

    @property
    def users(self) -> int:
        return self.loads + self.pieces


def users_of(pair: Pair, scale: Beside) -> int:
    """How many the directory has to have."""
    return max(pair.people, scale.logins) if pair.people else scale.users


def compare(pair: Pair, scale: Beside, directory: Directory) -> Iterator[str | Compared]:
    """Lines to print as they come, and the figures; `directory` has at least `users_of` them."""
    users = users_of(pair, scale)
    people = users // scale.logins * scale.logins if pair.people else 0
    with ExitStack() as stack:
        rigs = []
        for site in pair.sites:
            tls = directory.ca_file is not None
            asked = stack.enter_context(slapd(users, ldaps=tls)) if pair.apart else directory
            rigs.append(stack.enter_context(rig(users, asked, site=site)))
        servers = [Server(of, it.server, it.port, it.directory) for of, it in zip(pair.of, rigs, strict=True)]
        for server, challenges in zip(servers, pair.open, strict=True):
            if challenges:
                yield _open(server, challenges, users)
        runs: dict[str, list[Run]] = {of: [] for of in pair.of}
        for server, run in in_turn(servers, scale.runs, scale.logins, people):
            runs[server.name].append(run)
        few, many = (runs[of] for of in pair.of)
        compared = _compared(pair, scale.loads, few, many)
        yield from lines(compared)
        yield compared
        yield from _taken_apart(pair, scale, rigs, (few, many))


def _open(server: Server, challenges: int, users: int) -> str:
    """Begin so many logins, and leave them at that."""
    figures = Load(server.port, SECRET, islice(cycle(range(users)), challenges), opening=True).run()
    if figures.accepted < challenges:
        raise RuntimeError(f"{challenges - figures.accepted} of {challenges} logins were not challenged")
    return f"{challenges:,} challenges opened in {figures.seconds:.1f} s, {figures.resent} packets resent"


def _compared(pair: Pair, logins: int, few: Sequence[Run], many: Sequence[Run]) -> Compared:
    failures = sum((Counter(run.failures) for run in (*few, *many)), Counter[str]())
    cpu = [[run.cpu for run in runs] for runs in (few, many)]
    rates = [[run.per_second for run in runs] for runs in (few, many)]
    return Compared(
        what=pair.what,
        of=pair.of,
        logins=2 * logins,
        accepted=sum(run.accepted for run in (*few, *many)),
        failures=dict(failures),
        cpu=(spread(cpu[0]), spread(cpu[1])),
        per_second=(spread(rates[0]), spread(rates[1])),
        shares=(_shares(few), _shares(many)),
        cpu_ratio=ratio(cpu[1], cpu[0]),
        per_second_ratio=ratio(rates[1], rates[0]),
    )


def _shares(runs: Sequence[Run]) -> dict[str, float]:
    return {name: median(run.shares[name] for run in runs) for name in runs[0].shares}


def lines(compared: Compared) -> Iterator[str]:
    """The figures for people."""
    yield f"{compared.what}: {compared.accepted} of {compared.logins} logins accepted, {AT_ONCE} at once"
    for failure, times in compared.failures.items():
        yield f"  failed      {times} in {failure}"
    for place, of in enumerate(compared.of):
        yield f"  {of:<10}  {compared.cpu[place]} µs/login, {compared.per_second[place]} logins/s"
        yield "              cores: " + ", ".join(
            f"{who} {used:.0%}" for who, used in compared.shares[place].items()
        )
    yield f"  ratio       {compared.cpu_ratio} of the CPU, {compared.per_second_ratio} of the logins/s"


def _taken_apart(
    pair: Pair, scale: Beside, rigs: Sequence[Rig], runs: tuple[Sequence[Run], Sequence[Run]]
) -> Iterator[str]:
    """Where the difference is: the budgets of both, one after the other."""
    if not scale.pieces:
        return
    for of, it in zip(pair.of, rigs, strict=True) if pair is POLICIES else ():
        found, looked_through = deciding(it.config)
        yield f"  of {of}: {found:.1f} µs until the policy is found, {looked_through:.0f} by looking at each"
    for it, mine in zip(rigs, runs, strict=True):
        steps = run_on_loop(_steps(it, range(scale.loads, scale.users)))
        whole = median(run.cpu for run in mine)
        yield budget_line({**steps, REST: whole - sum(steps.values())})


async def _steps(it: Rig, users: range) -> dict[str, float]:
    """Logins of these users taken apart: CPU µs a login by step."""
    async with workbench(it.config) as bench:
        return await bench.measure(users)
