"""The process that looks after the others: `python -m radius_mfa.transports.supervisor YAML FD`.

It holds every socket and does nothing with them, so that a process that dies loses none of what the kernel has
taken in for it, and its replacement goes on at the same one.  One that hangs is made to die.
It knows no configuration: the background process reads the YAML, and what that says goes from hand to hand as a
file in memory.  So there is little here that could break, and it is small: the standard library only, and of that
not much.

A reload has two halves.  All prepare, and only when the last of them is prepared all take over; if one cannot,
nobody does.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
from collections.abc import Sequence
from time import monotonic

from radius_mfa.transports.control import Message
from radius_mfa.transports.core_dumps import no_core_dumps
from radius_mfa.transports.crew import Crew, read_memory
from radius_mfa.transports.member import COMMAND, Member
from radius_mfa.transports.pulse import EVERY, Pulse
from radius_mfa.transports.reloading import Reloading
from radius_mfa.transports.service_manager import ServiceManager
from radius_mfa.transports.voice import Voice

_GRACE = 30.0  # seconds that a process may take to end; it is given ten to finish what is in flight


class Supervisor:
    """Starts the processes, and starts anew whichever ends; `run` returns the exit status."""

    def __init__(
        self,
        crew: Crew,
        voice: Voice,
        manager: ServiceManager,
        command: Sequence[str] = COMMAND,
        grace: float = _GRACE,
        every: float = EVERY,
    ) -> None:
        """`command`: what each process is started with.  `grace`: seconds that one may take to end.

        `every`: seconds between two looks whether they turn.
        """
        self._crew = crew
        self._voice = voice
        self._manager = manager
        self._selector = selectors.DefaultSelector()
        self._members = [Member(crew, number, command) for number in range(crew.workers + 1)]
        self._background = self._members[-1]
        self._grace = grace
        self._reloading = Reloading(self._members, voice, manager, crew.configuration)
        self._pulse = Pulse(self._members, voice, every)
        self._alive_due = 0.0  # when the manager is to hear of us
        self._said_ready = False
        self._asked_to_end = False
        self._asked_all_to_end = False
        self._deadline: float | None = None  # until which all are to have ended
        self._status = 0
        self._facts: Message = {}  # what is said of the server when it is ready

    def run(self) -> int:
        self._listen_to_signals()
        self._start(self._background)  # alone: it brings the store to its schema
        while not self._has_ended():
            for key, _ in self._selector.select(self._patience()):
                if key.data is None:
                    self._take_signals()
                elif key.data.control is not None:
                    self._hear(key.data)
            self._bury()
            self._do_what_is_due()
        if self._said_ready:
            self._voice.say("info", "stopped")
        return self._status

    # --- signals --------------------------------------------------------------------------------

    def _listen_to_signals(self) -> None:
        self._woken, wake = socket.socketpair()
        self._woken.setblocking(False)
        wake.setblocking(False)
        self._wake = wake  # kept open: its number alone does not
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        self._selector.register(self._woken, selectors.EVENT_READ)

    def _take_signals(self) -> None:
        try:
            numbers = self._woken.recv(4096)
        except BlockingIOError:
            return
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            self._end()
        elif signal.SIGHUP in numbers and not self._asked_to_end:
            self._reloading.ask()

    # --- processes ------------------------------------------------------------------------------

    def _start(self, member: Member) -> bool:
        """Whether it runs."""
        try:
            member.start(self._reloading.configuration)
        except OSError as broken:  # no memory, too many processes: it may be better soon
            self._voice.say("error", "process_not_started", process=member.name, error=broken.strerror)
            member.forget()
            self._lose(member, 1)
            return False
        assert member.control is not None  # it has just been started
        self._selector.register(member.control, selectors.EVENT_READ, member)
        return True

    def _hear(self, member: Member) -> None:
        """Whatever a process has to say."""
        assert member.control is not None  # or there was nothing to hear
        try:
            heard = member.control.receive()
        except BlockingIOError:
            return
        if heard is None:  # it is about to end, or has
            self._selector.unregister(member.control)
            member.control.close()
            member.control = None
            return
        message, fd = heard
        if message["is"] == "ready":
            self._is_ready(member, message["facts"])
        elif message["is"] == "turning":
            member.unanswered = 0
        else:
            self._reloading.hear(member, message, fd)

    def _is_ready(self, member: Member, facts: Message) -> None:
        member.is_ready = True
        self._facts |= facts
        self._reloading.catch_up(member)
        self._have_adopted()
        self._tell_who_is_here()
        if self._said_ready or self._asked_to_end:
            return
        if member is self._background:
            for each in self._members[:-1]:
                if not self._start(each):
                    break  # all are ending
        elif all(each.is_ready for each in self._members):
            self._said_ready = True
            self._voice.say("info", "ready", **self._facts, workers=self._crew.workers)
            known = {name: self._facts[name] for name in ("listen", "policies") if name in self._facts}
            self._manager.ready(**known, workers=self._crew.workers)

    def _bury(self) -> None:
        """See who has ended, and why."""
        for member in self._members:
            status = member.buried()
            if status is None:
                continue
            if member.control is not None:
                self._selector.unregister(member.control)
            member.forget()
            if self._said_ready and not self._asked_to_end:
                how = signal.strsignal(-status) if status < 0 else f"exit status {status}"
                self._voice.say("error", "process_ended", process=member.name, pid=member.pid, how=how)
            self._lose(member, status)
        self._end_the_last()

    def _lose(self, member: Member, status: int) -> None:
        """Do without it, and start it anew where it had been well."""
        self._reloading.lose(member)
        if self._asked_to_end:
            return
        if not self._said_ready:  # it has said what is wrong, and would say it again
            self._status = status if status > 0 else 1
            self._end()
            return
        member.rest(monotonic())
        self._have_adopted()
        self._tell_who_is_here()

    def _have_adopted(self) -> None:
        """Let somebody read each socket that nobody reads: the next worker that is there."""
        workers = self._members[:-1]
        able = [each for each in workers if each.is_ready and each.control is not None]
        for slot, worker in enumerate(workers):
            if worker.adopter is not None and not worker.adopter.is_ready:
                worker.adopter = None  # it has ended, and whoever takes its place knows of nothing
            adopter = worker.adopter
            if worker.is_ready:
                if adopter is not None:
                    adopter.tell({"do": "release", "slot": slot})
                    worker.adopter = None
            elif able and self._said_ready and adopter is None:
                worker.adopter = able[slot % len(able)]
                worker.adopter.tell({"do": "adopt", "slot": slot})

    def _tell_who_is_here(self) -> None:
        """To the workers: whoever is not here can be handed nothing."""
        here = [each for each in self._members[:-1] if each.is_ready]
        for worker in here:
            worker.tell({"do": "here", "workers": [each.number for each in here]})

    # --- time -----------------------------------------------------------------------------------

    def _patience(self) -> float:
        """Seconds until something is due."""
        starts = (each.due for each in self._members)
        alive = self._alive_due if self._manager.alive_every else None
        times = (*starts, self._deadline, self._reloading.deadline, self._pulse.due, alive)
        return max(min(time for time in times if time is not None) - monotonic(), 0)

    def _do_what_is_due(self) -> None:
        now = monotonic()
        for member in self._members:
            is_due = member.due is not None and member.due <= now and not self._asked_to_end
            if is_due and self._start(member):
                self._voice.say("info", "process_started", process=member.name, pid=member.pid)
        self._reloading.look(now)
        self._look_for_life(now)
        if self._deadline is not None and self._deadline <= now:
            self._deadline = None
            for member in self._members:
                member.kill()

    def _look_for_life(self, now: float) -> None:
        """Ours is shown by this being done at all."""
        if not self._asked_to_end:
            self._pulse.look(now)
        if self._manager.alive_every and self._alive_due <= now:
            self._alive_due = now + self._manager.alive_every
            if self._pulse.is_well:
                self._manager.alive()

    def _end(self) -> None:
        """Have all of them finish what they are at."""
        if self._asked_to_end:
            return
        self._asked_to_end = True
        if self._said_ready:
            self._voice.say("info", "stopping")
            self._manager.stopping()
        self._reloading.drop()
        self._deadline = monotonic() + self._grace
        for member in self._members:
            member.due = None
            member.tell({"do": "drain" if member is self._background else "stop"})
        self._end_the_last()

    def _end_the_last(self) -> None:
        """The background process: it says that we take no logins, and delivers mail, while others end theirs."""
        is_last = not any(each.is_alive for each in self._members[:-1])
        if self._asked_to_end and is_last and not self._asked_all_to_end:
            self._asked_all_to_end = True
            self._background.tell({"do": "stop"})

    def _has_ended(self) -> bool:
        return self._asked_to_end and not any(each.is_alive for each in self._members)


def main() -> int:
    """In place of the process that has opened the sockets and given up root."""
    yaml, fd = sys.argv[1:]
    no_core_dumps()  # which becoming another program has allowed again
    octets = read_memory(int(fd))
    os.close(int(fd))
    crew = Crew.unpacked(octets.decode())
    assert crew.yaml == yaml
    return Supervisor(crew, Voice(crew.log_format), ServiceManager.found()).run()


if __name__ == "__main__":
    sys.exit(main())
