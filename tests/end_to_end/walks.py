"""Who runs what the documentation has for the shell; `tests/end_to_end/reader.py` says how to add a page."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from tests.end_to_end.pages import Block, blocks
from tests.end_to_end.reader import READY_TO_SERVE, Instead, Reader, is_for_somebody_else

Follow = Callable[[Reader], None]


@dataclass(frozen=True, slots=True)
class Walk:
    """Through the sections of a page; through all of them where none is named."""

    page: str
    sections: tuple[str, ...]
    neighbours: tuple[str, ...]
    follow: Follow

    def blocks(self) -> list[Block]:
        """What it has to follow."""
        found = [each for each in blocks(self.page, "sh") if not is_for_somebody_else(each)]
        return [each for each in found if not self.sections or each.section in self.sections]


WALKS: list[Walk] = []


def walk(page: str, *sections: str, neighbours: tuple[str, ...] = ()) -> Callable[[Follow], Follow]:
    def registered(follow: Follow) -> Follow:
        WALKS.append(Walk(page, sections, neighbours, follow))
        return follow

    return registered


YAML = "/etc/radius-mfa/radius-mfa.yaml"
# With our machines it is there, and a mount point, which is given to nobody unasked.
GIVEN = "chown radius-mfa:radius-mfa /var/lib/radius-mfa"
PATH = "export PATH=/opt/radius-mfa/bin:$PATH\n"
# config/laboratory.yaml where the commands look for a configuration: alice, with no second factor as yet.
LABORATORY = f"""{PATH}
mkdir -p /etc/radius-mfa /var/lib/radius-mfa /var/log/radius-mfa
cp config/laboratory.yaml {YAML}
export LAB_SECRET=$(openssl rand -hex 16) LAB_PASSWORD=$(echo '{Reader.password}' | radius-mfa hash)
sed -i 's/totp: {{/&window: 4, /' {YAML}    # a walk takes more codes than there is time for
"""
# config/campus-vpn.yaml likewise, as it stands, with the key made.
CAMPUS = f"""{PATH}
mkdir -p /etc/radius-mfa /var/lib/radius-mfa /var/log/radius-mfa
cp config/campus-vpn.yaml {YAML}
export VPN_SECRET=$(openssl rand -hex 16) LDAP_PASSWORD='{Reader.ldap_password}'
radius-mfa keys init
"""


def logs_in(reader: Reader, *codes: int) -> None:
    """At prompts, with the password and such codes in turn."""
    left = iter(codes)
    reader.answers["^Password: "] = lambda: reader.password
    reader.answers["^Enter the 6-digit code.*: "] = lambda: reader.code(next(left))


def is_asked(reader: Reader) -> None:
    """By `radius-mfa init`, and answers with the directory beside it and a gateway."""
    reader.answers.update(
        {
            "^LDAP servers.*: ": lambda: "ldaps://ldap.example.org",
            "^Bind DN.*: ": lambda: "cn=radius,dc=example,dc=org",
            "^Its password: ": lambda: reader.ldap_password,
            "^Its address: ": lambda: "192.0.2.10",
            "^A user to try.*: ": lambda: "alice",
            "^Their password: ": lambda: reader.password,
            "^Group that may log in.*: ": lambda: "1",
            "^Make of the gateway.*: ": lambda: "forti",
            r"^(?!LDAP|Bind|Its|A user|Their|Group|Make)\w.*: $": lambda: "",
        }
    )


@walk("README.md", neighbours=("directory",))
def the_front_page(reader: Reader) -> None:
    is_asked(reader)
    reader.follow("radius_mfa", at=1)
    reader.run(GIVEN)
    said = reader.follow("radius_mfa", at=2)
    assert re.search(r"radius-mfa user enrol alice\s+\S*radius-mfa serve", said.rpartition("Run next:")[2]), said


@walk("docs/first-vpn.md", "Install", "Ask", neighbours=("directory",))
def the_first_hour(reader: Reader) -> None:
    is_asked(reader)
    reader.follow("Install")
    reader.run(GIVEN)
    said = reader.follow("Ask")
    assert "radius-mfa user enrol alice" in said.rpartition("Run next:")[2]
    assert "root:radius-mfa 640" in reader.run("stat -c '%U:%G %a' /etc/radius-mfa/key")
    reader.answers.clear()
    reader.answers["^First code of the app.*: "] = reader.code
    reader.run("radius-mfa user enrol alice\nradius-mfa serve &")
    reader.wait_for(READY_TO_SERVE)
    logs_in(reader, 1)
    assert "Access-Accept" in reader.run("radius-mfa login alice")


@walk("docs/quick-start.md")
def the_first_five_minutes(reader: Reader) -> None:
    reader.run(f"{PATH}mkdir .venv && ln -s /opt/radius-mfa/bin .venv/bin")
    reader.answers["Repeat for confirmation"] = lambda: reader.password
    logs_in(reader)
    reader.follow("A laboratory of your own", at=0)
    assert "Access-Accept" in reader.follow("A laboratory of your own", at=1)
    reader.answers["^First code of the app.*: "] = reader.code
    reader.follow("A laboratory of your own", at=2)
    logs_in(reader, 1)
    assert "Enter the 6-digit code" in reader.run("radius-mfa login alice")
    reader.follow("Look at what happened")
    reader.wait_for("reloaded")
    reader.follow("Where next")
    page = 'import urllib.request as r; print(r.urlopen("http://127.0.0.1:8080/sign-in").read())'
    assert "password" in reader.run(f"/opt/radius-mfa/bin/python -c '{page}'")


@walk("docs/operating.md", neighbours=("directory",))
def the_year(reader: Reader) -> None:
    reader.run(f"{CAMPUS}cp {YAML} new.yaml\nradius-mfa serve &")
    reader.wait_for(READY_TO_SERVE)
    reader.run(f"! radius-mfa login alice --password '{reader.password}'")  # she has no second factor
    assert "unenrolled" in reader.follow("Every day: a look at the dashboard")
    reader.follow("Every week")
    assert "looked at" in reader.follow("Every month")


@walk("docs/help-desk.md", neighbours=("directory",))
def somebody_calls(reader: Reader) -> None:
    reader.run(f"{CAMPUS}radius-mfa serve &")
    reader.wait_for(READY_TO_SERVE)
    reader.run(f"! radius-mfa login alice --password '{reader.password}'")
    assert "unenrolled" in reader.follow("What they say, and what to do")
    reader.answers["^First code of the app.*: "] = reader.code
    reader.run("radius-mfa user enrol alice")
    off = {"492039": lambda: reader.code(10), "530017": lambda: reader.code(11)}
    said = reader.follow("None of the codes work", off)
    assert re.search(r"\b5(\.5)? minutes ahead", said), said  # the half is over if a step was, meanwhile
    assert "reset: 1 token" in reader.follow("The phone is lost, or new")


@walk("docs/audit.md", neighbours=("directory",))
def who_did_what(reader: Reader) -> None:
    reader.run(f"{CAMPUS}radius-mfa serve &")
    reader.wait_for(READY_TO_SERVE)
    reader.run("! radius-mfa login alice --password 'no such password'")
    assert reader.follow("Searching").count("wrong_password") == 2


@walk("docs/backup.md", "Backup", "What comes back, and what is ended")
def a_copy_of_everything(reader: Reader) -> None:
    reader.run(f"{LABORATORY}radius-mfa keys init\nradius-mfa serve &")
    reader.wait_for(READY_TO_SERVE)
    reader.run("mount -t tmpfs none /var/backups\nmkdir /var/backups/radius-mfa")
    reader.answers["^Passphrase: "] = lambda: "correct horse battery"
    reader.answers["^Repeat for confirmation: "] = lambda: "correct horse battery"
    assert "0 users" in reader.follow("Backup")
    reader.run(
        f"echo 'audit: {{file: /var/log/radius-mfa/audit.jsonl}}' >> {YAML}\ntouch /var/log/radius-mfa/audit.jsonl"
    )
    reader.follow("What comes back, and what is ended")


@walk("docs/first-vpn.md", "By hand", neighbours=("directory",))
def without_being_asked(reader: Reader) -> None:
    reader.follow("By hand", at=0)
    logs_in(reader, 1)
    secrets: Instead = {
        "VPN_SECRET=…": "VPN_SECRET=$(openssl rand -hex 16)",
        "LDAP_PASSWORD=…": f"LDAP_PASSWORD='{reader.ldap_password}'",
    }
    assert "Access-Accept" in reader.follow("By hand", {**secrets, "492039": reader.code}, at=1)


@walk("docs/factors.md", neighbours=("directory", "mail"))
def the_life_of_a_second_factor(reader: Reader) -> None:
    mail = "mail: {smtp: smtp://mail.example.org:587, sender: mfa@example.org}"
    reader.run(rf"{CAMPUS}sed -i 's|^factors:|&\n  {mail}\n  recovery_codes: {{}}|' {YAML}")
    reader.follow("Enrolling", {"492039": reader.code})
    reader.follow("Codes by e-mail")
    later = {"492039": lambda: reader.code(10, app=0), "530017": lambda: reader.code(11, app=0)}
    reader.follow("The life of a factor", later)
    reader.run("printf 'username,secret\\nalice,%s\\n' JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP > tokens.csv")
    reader.follow("Taking tokens over")


@walk("docs/policies.md", neighbours=("directory",))
def before_a_change(reader: Reader) -> None:
    reader.run(CAMPUS)
    # What is to be changed: until now alice needs no second factor, which she has not.
    reader.run(
        f"cp {YAML} new.yaml\nsed -i 's/factor: required/factor: when_enrolled/' {YAML}\nradius-mfa serve &"
    )
    reader.wait_for(READY_TO_SERVE)
    reader.run(f"radius-mfa login alice --password '{reader.password}'")
    assert "1 login looked at, 1 change" in reader.follow("Before a change")


@walk("docs/keys.md")
def another_key(reader: Reader) -> None:
    reader.run(f"{LABORATORY}radius-mfa keys init\nradius-mfa serve &")
    reader.wait_for(READY_TO_SERVE)
    before, old = reader.run("radius-mfa keys list --json"), r'"id": "([0-9a-f]{8})", "use"'
    reader.follow("Replacing the key: one node")
    after = reader.run("radius-mfa keys list --json")
    assert set(re.findall(old, before)).isdisjoint(re.findall(old, after)), after


@walk("docs/storage.md", neighbours=("database",))
def a_database(reader: Reader) -> None:
    reader.run(LABORATORY)
    reader.answers["Enter password for new role"] = lambda: "the value of DB_PASSWORD"
    reader.answers["Enter it again"] = lambda: "the value of DB_PASSWORD"
    reader.run("export PGUSER=admin")
    reader.follow("PostgreSQL")
    (yaml,) = blocks("docs/storage.md", "yaml")
    reader.run(f"""
    export DB_PASSWORD="the value of DB_PASSWORD"
    cp {reader.authority.ca_file} /etc/radius-mfa/db-ca.pem
    sed -i /^storage:/d {YAML}
    echo '{yaml.text}' >> {YAML}
    radius-mfa keys init
    radius-mfa check --probe
    """)


@walk("docs/radsec.md")
def a_gateway_with_a_certificate(reader: Reader) -> None:
    server = reader.authority.certify("radius.example.ac.jp")
    gateway = reader.authority.certify("gw.example.ac.jp")
    listener = "{radsec: 127.0.0.1:2083, certificate: server.pem, key: server.pem, client_ca: ca.pem}"
    reader.run(rf"""{LABORATORY}
    install {reader.authority.ca_file} /etc/radius-mfa/ca.pem
    install {reader.authority.ca_file} ca.pem
    install -m 0600 {server} /etc/radius-mfa/server.pem
    install -m 0600 {gateway} gw.pem
    install -m 0600 {gateway} gw.key
    sed -i 's|^listen:|&\n  - {listener}|; s|^    address:|    certificate: gw.example.ac.jp\n&|' {YAML}
    radius-mfa keys init
    radius-mfa serve &""")
    reader.wait_for(READY_TO_SERVE)
    logs_in(reader)
    assert "Access-Accept" in reader.follow("RADIUS over TLS")


@walk("docs/eap.md")
def a_login_without_a_device(reader: Reader) -> None:
    server = reader.authority.certify("radius.example.ac.jp", purpose="server")
    reader.run(f"""{LABORATORY}
    cp {reader.authority.ca_file} ca.pem
    cat {server} ca.pem > /etc/radius-mfa/eap.pem
    chmod 0600 /etc/radius-mfa/eap.pem
    echo 'eap: {{certificate: eap.pem, key: eap.pem}}' >> {YAML}
    radius-mfa keys init
    radius-mfa serve &""")
    reader.wait_for(READY_TO_SERVE)
    reader.run("radius-mfa user enrol alice")
    reader.run(f"radius-mfa user enrol alice --confirm {reader.code()}")
    logs_in(reader, 1)
    said = reader.follow("Logging in without a device", {"492039": lambda: reader.code(2)})
    assert said.count("Access-Accept") >= 2


@walk("docs/freeradius.md", "Installing", "Inside", "In the tunnel")
def with_the_login_inside_of_freeradius(reader: Reader) -> None:
    reader.follow("Installing")
    inside = reader.follow("Inside")
    assert "Received Access-Accept" in inside
    assert "Class = 0x" + b"everybody".hex() in inside
    assert "accepted" in inside.rpartition("Received")[2]

    assert "Access-Accept" in reader.follow("In the tunnel")

    slip = "sed -i s/policies:/polices:/ /etc/radius-mfa/freeradius.yaml\n! freeradius -C -l stdout\n"
    assert "radius_mfa: /etc/radius-mfa/freeradius.yaml:9: polices: unknown key" in reader.run(slip)


@walk("docs/freeradius.md", "Installing", "Before ours")
def behind_freeradius(reader: Reader) -> None:
    reader.follow("Installing")
    before = reader.follow("Before ours")
    assert "Received Access-Accept" in before
    assert "Class = 0x" + b"everybody".hex() in before


@walk("docs/packaging.md")
def whoever_has_the_wheel_alone(reader: Reader) -> None:
    folder = reader.follow("What is given away").split()[-1]
    assert "radius-mfa.service" in reader.run(f"ls {folder}")


@walk("docs/containers.md", "Kubernetes")
def the_configuration_of_a_cluster(reader: Reader) -> None:
    authority, portal = reader.authority, reader.authority.certify("mfa.example.org", purpose="server")
    given = f"""
    for each in vpn database directory; do openssl rand -hex 16 > secrets/$each; done
    cp {authority.ca_file} secrets/ca.pem
    cp {portal} portal/tls.crt
    cp {portal} portal/tls.key
    chmod 0600"""
    reader.run(PATH)
    reader.follow("Kubernetes", {"chmod 0600": given})
    assert reader.run("stat -c '%a' secrets/key") == "600\n"
