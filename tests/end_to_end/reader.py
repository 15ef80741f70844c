"""Somebody who does what a page says: types what it has for the shell, as it stands, on a Debian of their own.

To have a page read, write into `tests/end_to_end/walks.py`:

    @walk("docs/first-vpn.md", neighbours=("directory", "mail"))
    def first_vpn(reader: Reader) -> None:
        reader.follow("Install")
        reader.run("sed -i s/example.net/example.org/ /etc/radius-mfa/radius-mfa.yaml")  # as the prose has one do
        reader.answers["^Password: "] = lambda: reader.password
        reader.answers["^Enter the 6-digit code.*: "] = lambda: reader.code(1)
        said = reader.follow("A first login", {"VPN_SECRET=…": "VPN_SECRET=sesame", "492039": reader.code})
        assert "Access-Accept" in said

- `walk(page, *sections)`: the sections that it reads; all of them where none is named.  A section is called by
  the heading right above its blocks.  Whatever of them was not followed in the end is an error.
- The machine has the installation (the lines of `INSTALLATION` are left out, for they have been done), the
  repository's README.md, config, deploy, docs in its working folder, and `neighbours`: the names of `NAMES` are
  theirs.  Their certificate is one that the machine trusts; `reader.authority` signs others.  In the directory is
  config/campus-vpn.yaml's dc=example,dc=org; alice, of the staff, has `reader.password`, the server's own account
  `reader.ldap_password`.  Mails are shown on the terminal.  192.0.2.1, .2 and .10 are the machine's.
- `follow(section, instead)`: `instead` has what comes in place of a placeholder: a text, or what is called for one
  when all that is above its line has been done.  `reader.code(n)` is what the app shows that has scanned the last
  QR code, n steps of 30 s from now.  Where one is to act on prose between the blocks of a section, follow them one
  by one, `at=0`, `at=1`.
- `reader.answers[pattern]`: what is typed where that is asked; `reader.wait_for(pattern)`: until what runs in the
  background has said so.
- `radius-mfa serve` and `portal` are started in the background, and waited for until they are ready.
- `systemctl` is `tests/peers/systemctl.py`, which starts what a unit says.
- Two nodes: `with reader.at_another_machine() as second: second.follow(…)`, on the same network.
- A command that another test runs (`make test`), or that no machine of ours can (`kubectl`), is in `ELSEWHERE`
  with the test that runs it, or that looks at the file it is given.
"""

from __future__ import annotations

import base64
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from tests.end_to_end.pages import ROOT, Block, blocks
from tests.end_to_end.site import now, totp
from tests.peers.certificates import Authority
from tests.peers.machine import Machine
from tests.peers.neighbours import LDAP_PASSWORD, READY, USER_PASSWORD
from tests.peers.shell import Shell

# What `installation` has done on every machine, for it takes long; pages may leave `--quiet` out.
INSTALLATION = ("python3 -m venv /opt/radius-mfa", "/opt/radius-mfa/bin/pip install --quiet .")
# How lines begin that another test runs, or that take what no test has: what is tested of them, below `tests/`.
ELSEWHERE = {
    "make demo": "cli/test_demo",
    "make test": "end_to_end/test_docs_commands",  # or this would not be asked
    "make bench": "bench/test_bench",
    "make soak": "bench/test_soak",
    "make dist": "test_packaging",
    # PyPI is asked; what about, is what `make dist` makes.
    "make advisories": "test_packaging",
    # There is no container engine, and no cluster: their files are looked at, and what they start is started.
    "docker": "deploy/test_container",
    "podman": "deploy/test_container",
    "cd deploy/compose": "deploy/test_compose",
    "kubectl": "deploy/test_kubernetes",
}
_HOSTS = ("ldap", "ldap1", "ldap2", "mail", "smtp", "db", "radius", "radius1", "radius2", "mfa")
NAMES = [f"{host}.{domain}" for host in _HOSTS for domain in ("example.org", "example.ac.jp")]
_COMMENT = re.compile(r"\s+#.*")
# The last command of a line; who runs it, and how it is called.
_STAYS = re.compile(
    r"^.*?(?:^|&& )(?:runuser \S+ \S+ -- |sudo -u \S+ )?(?:\w+=\S* )*(?:[^\s=]*/)?"
    r"radius-mfa (?:--config \S+ )?(?:serve|portal)\b[^#&|;]*(?P<behind>&?)"
)
READY_TO_SERVE = r"(?:\b|\dm)ready\b"  # in colour, too
_SECRET = re.compile(r"^secret: ([A-Z2-7]+)", re.MULTILINE)

Instead = Mapping[str, str | Callable[[], str]]


class Reader:
    """`said`: all that was shown so far.  `followed`: which blocks were.  `authority`: whom the machine trusts."""

    ldap_password, password = LDAP_PASSWORD, USER_PASSWORD

    def __init__(self, page: str, authority: Authority, installed: Machine, shell: Shell) -> None:
        self.page = page
        self.authority = authority
        self.followed: list[Block] = []
        self.answers = shell.answers
        self._installed = installed
        self._shell = shell

    @property
    def said(self) -> str:
        return self._shell.said

    def code(self, ahead: int = 0, app: int = -1) -> str:
        """What the app shows that has scanned the last QR code; `ahead`: so many steps of 30 s from now."""
        seed = _SECRET.findall(self.said)[app]
        return totp(base64.b32decode(seed + "=" * (-len(seed) % 8)), now() + ahead)

    def run(self, commands: str) -> str:
        """What the page does not say, or in prose; what was shown."""
        return self._shell.do(commands)

    def wait_for(self, pattern: str) -> str:
        """Until it was shown, by what runs in the background; what it has matched."""
        return self._shell.until(pattern)

    def follow(self, section: str, instead: Instead | None = None, *, at: int | None = None) -> str:
        """Type the blocks of a section, or the one of them that is `at` a place, from 0; what was shown."""
        begin = len(self.said)
        found = [each for each in blocks(self.page, "sh") if each.section == section]
        found = found if at is None else found[at : at + 1]
        assert found, f"{self.page} has nothing for the shell there: {section!r}, {at}"
        left = dict(instead or {})
        for block in found:
            for commands in _pieces(block.text, [each for each, text in left.items() if callable(text)]):
                self._type(commands, left)
            self.followed.append(block)
        missing = [each for each in (instead or {}) if not any(each in block.text for block in found)]
        assert not missing, f"{self.page}, {section!r} has no {missing}"
        return self.said[begin:]

    @contextmanager
    def at_another_machine(self) -> Iterator[Reader]:
        """The same page at another one: its own files, as they were before anything of the page was done."""
        machine = self._installed.like(self._shell.cwd.with_name("another"))
        with Shell(machine, self._shell.cwd, beside=self._shell) as shell:
            other = Reader(self.page, self.authority, self._installed, shell)
            shell.do(_acquainted(self.authority))
            yield other
        self.followed += other.followed

    def _type(self, commands: str, instead: Instead) -> None:
        for placeholder, text in instead.items():
            if placeholder in commands:
                commands = commands.replace(placeholder, text if isinstance(text, str) else text())
        stays = _STAYS.match(commands)
        if stays is None:
            self._shell.do(commands)
            return
        begin = len(self.said)
        self._shell.do(commands if stays["behind"] else f"{stays[0].rstrip()} &")
        self._shell.until(READY_TO_SERVE, begin)


def _pieces(text: str, late: Sequence[str]) -> Iterator[str]:
    """The commands of a block, without those that are done, here or elsewhere.

    It is cut around each that stays, and before each that has a placeholder of those that are known `late`.
    """
    together: list[str] = []
    for line in re.split(r"(?<!\\)\n", text):
        if _is_done(_COMMENT.sub("", line)):
            continue
        stays = _STAYS.match(line)
        if stays or any(placeholder in line for placeholder in late):
            yield "\n".join(together)
            together = []
        together.append(line)
        if stays:
            yield "\n".join(together)
            together = []
    yield "\n".join(together)


def is_for_somebody_else(block: Block) -> bool:
    """Whether no command of it is left for a reader."""
    left = "".join(_pieces(block.text, ()))
    return not re.sub(r"^#.*", "", left, flags=re.MULTILINE).strip()


def _is_done(command: str) -> bool:
    installed = (*INSTALLATION, *(each.replace(" --quiet", "") for each in INSTALLATION))
    return command in installed or any(f"{command} ".startswith(f"{each} ") for each in ELSEWHERE)


@contextmanager
def reader(page: str, folder: Path, installed: Machine, neighbours: tuple[str, ...]) -> Iterator[Reader]:
    """One at a new machine like that, with these neighbours."""
    authority = Authority(folder / "ca")
    machine = installed.like(folder / "machine")
    repository = folder / "repository"
    repository.mkdir()
    for each in ("README.md", "config", "deploy", "docs", "dictionaries", "Makefile"):
        (repository / each).symlink_to(ROOT / each)
    with Shell(machine, repository) as shell:
        shell.do(_acquainted(authority))
        if neighbours:
            certificate = authority.certify(NAMES[0], names=NAMES)
            python = f"TMPDIR=/run PYTHONPATH={ROOT} {sys.executable}"
            shell.do(f"{python} -m tests.peers.neighbours {certificate} {' '.join(neighbours)} &")
            shell.until(READY)
        shell.answers["^First code of the app.*: "] = lambda: ""  # later
        yield Reader(page, authority, installed, shell)


def _acquainted(authority: Authority) -> str:
    """A machine that knows the neighbours by name, and who has signed for them."""
    hosts = f"echo 127.0.0.1 {' '.join(NAMES)} >> /etc/hosts"
    return f"{hosts}\ncat {authority.ca_file} >> /etc/ssl/certs/ca-certificates.crt\n"


def installation(folder: Path, checkout: Callable[[], Path]) -> Machine:
    """A machine on which we are installed; it is there as a whole, or not at all."""
    if not folder.exists():
        begun = Machine(Path(mkdtemp(prefix="begun-", dir=folder.parent)) / "machine")
        begun.run("\n".join(INSTALLATION), checkout(), networked=True)
        os.rename(begun.folder, folder)
    return Machine(folder)
