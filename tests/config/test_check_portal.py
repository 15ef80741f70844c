"""The portal: how it is reached, who may do what there, what that makes of the factors."""

from __future__ import annotations

import pytest

from radius_mfa.config.load import load_usable
from tests.config.support import DICTIONARY, SMALL, Folder, ldap, spoilt
from tests.peers.certificates import Authority

WELL = "listen: 127.0.0.1:8080, url: 'http://localhost:8080', help_desk: desk"
DESK = spoilt("username: alice,", "username: alice, groups: [desk],")
MAIL = "factors: {totp: {}, mail: {smtp: smtps://m, sender: a@example.org}}\n"


def portal(*others: str, url: str = "http://localhost:8080", listen: str = "127.0.0.1:8080") -> str:
    """A configuration with a portal on line 14."""
    said = ", ".join([f"listen: '{listen}'", f"url: '{url}'", *others])
    return f"{DESK}portal: {{{said}}}\n"


def well(*lines: str) -> str:
    """One whose portal nothing is to be said of, with more lines from 15 on."""
    return portal("help_desk: desk") + "".join(f"{line}\n" for line in lines)


def test_one_of_which_nothing_is_to_be_said(folder: Folder) -> None:
    assert folder.warnings(well()) == []


class TestUrl:
    @pytest.mark.parametrize(
        ("written", "url"),
        [
            ("https://mfa.example.org", "https://mfa.example.org"),
            ("HTTPS://MFA.Example.org/", "https://mfa.example.org"),
            ("https://mfa.example.org:443", "https://mfa.example.org"),
            ("https://mfa.example.org:8443", "https://mfa.example.org:8443"),
            ("http://localhost:80", "http://localhost"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ],
    )
    def test_is_what_a_browser_says(self, folder: Folder, written: str, url: str) -> None:
        found = folder.load(portal("trusted_proxies: 127.0.0.1", url=written)).configuration.portal
        assert found is not None
        assert found.url == url

    @pytest.mark.parametrize(
        ("written", "wrong"),
        [
            ("http://mfa.example.org", "must begin with https://, since passwords are typed there"),
            ("http://192.0.2.1:8080", "must begin with https://, since passwords are typed there"),
            ("https://example.org/mfa", "must end after host and port; it cannot be below another site's path"),
            ("https://example.org/?x=1", "must end after host and port; it cannot be below another site's path"),
            ("https://example.org#x", "must end after host and port; it cannot be below another site's path"),
            ("https://me:secret@h", "must have no user name or password in the URL; they have keys of their own"),
            ("https://例え.jp", "must have the host in its ASCII form: xn--r8jz45g.jp"),
            ("https://straße.example", "must have the host in its ASCII form (xn--…)"),
            ("https://é" + "x" * 70, "must have the host in its ASCII form (xn--…)"),
            ("mfa.example.org", "must be a URL that begins with https:// or http:// and a host"),
        ],
    )
    def test_is_a_site_of_its_own_that_passwords_may_be_typed_at(
        self, folder: Folder, written: str, wrong: str
    ) -> None:
        assert folder.problems(portal(url=written)) == [f"14: portal.url: {wrong}"]


class TestWaysIn:
    def test_are_given(self, folder: Folder) -> None:
        assert folder.problems(f"{SMALL}portal: {{}}\n") == [
            "14: portal.listen: is missing",
            "14: portal.url: is missing",
        ]

    @pytest.mark.parametrize("key", ["certificate", "key"])
    def test_by_tls_of_its_own_have_both_files(self, folder: Folder, key: str) -> None:
        folder.write("own.pem")
        (other,) = {"certificate", "key"} - {key}
        assert folder.problems(portal(f"{key}: own.pem", url="https://mfa.example.org")) == [
            f"14: portal.{other}: is missing; certificate and key go together"
        ]

    def test_by_tls_of_its_own_have_such_a_url(self, folder: Folder) -> None:
        folder.write("own.pem")
        assert folder.problems(portal("certificate: own.pem, key: own.pem")) == [
            "14: portal.url: must begin with https:// beside a certificate"
        ]

    def test_by_tls_of_its_own_may_be_anywhere(self, folder: Folder) -> None:
        own = Authority(folder.path / "ours").certify("mfa.example.org").read_bytes()
        folder.write("own.pem", own)
        files = "certificate: own.pem, key: own.pem"
        text = portal(files, "help_desk: desk", url="https://mfa.example.org", listen="0.0.0.0:443")
        assert folder.problems(text, usable=True) == []
        assert load_usable(folder.file, {}, DICTIONARY).warnings == ()

    def test_by_tls_of_its_own_need_files_that_fit(self, folder: Folder) -> None:
        for name in ("own", "other"):
            folder.write(f"{name}.pem", Authority(folder.path / name).certify("mfa.example.org").read_bytes())
        text = portal("certificate: own.pem, key: other.pem", url="https://mfa.example.org")
        assert folder.problems(text, usable=True) == [
            '14: portal.key: "other.pem" is not the key of the certificate'
        ]

    def test_of_a_certificate_that_has_expired_are_warned_of(self, folder: Folder) -> None:
        folder.write("own.pem", Authority(folder.path / "ours").certify("h", expired=True).read_bytes())
        text = portal("certificate: own.pem, key: own.pem", "help_desk: desk", url="https://h")
        folder.write(folder.file.name, text)
        (warning,) = load_usable(folder.file, {}, DICTIONARY).warnings
        assert warning.startswith(f"{folder.file}:14: portal.certificate: expired on ")

    @pytest.mark.parametrize("listen", ["0.0.0.0:8080", "192.0.2.1:8080", "[::]:8080"])
    def test_from_the_network_are_never_in_clear(self, folder: Folder, listen: str) -> None:
        assert folder.problems(portal(url="https://mfa.example.org", listen=listen)) == [
            "14: portal.listen: would take passwords in clear from the network: give certificate and key, or "
            "listen on 127.0.0.1 behind a proxy that speaks TLS, or name that proxy in trusted_proxies"
        ]

    def test_from_a_proxy_over_the_network_are_warned_of(self, folder: Folder) -> None:
        text = portal(
            "help_desk: desk, trusted_proxies: 192.0.2.7", url="https://mfa.example.org", listen="0.0.0.0:8080"
        )
        assert folder.warnings(text) == [
            "14: portal.listen: passwords cross the network in clear between proxy and portal; "
            "let nobody else be on it"
        ]

    def test_from_a_proxy_that_is_not_trusted_are_warned_of(self, folder: Folder) -> None:
        assert folder.warnings(portal("help_desk: desk", url="https://mfa.example.org")) == [
            "14: portal.listen: speaks no TLS, so a proxy is before it, which is not trusted: all people seem to "
            "come from there; name it (trusted_proxies: 127.0.0.1)"
        ]
        text = portal("help_desk: desk", "trusted_proxies: [127.0.0.1, '::1']", url="https://mfa.example.org")
        assert folder.warnings(text) == []

    @pytest.mark.parametrize(
        ("proxy", "campus"),
        [("192.0.2.7", "192.0.2.0/24"), ("192.0.0.0/16", "192.0.2.0/24"), ("2001:db8::7", "2001:db8::/32")],
    )
    def test_by_a_proxy_who_is_on_campus_are_warned_of(self, folder: Folder, proxy: str, campus: str) -> None:
        text = portal("help_desk: desk", f"trusted_proxies: [127.0.0.1, '{proxy}']")
        assert folder.warnings(f"{text}enrolment: {{networks: [198.51.100.0/24, '{campus}']}}\n") == [
            f"14: portal.trusted_proxies[1]: overlaps enrolment.networks ({campus}): whoever is there, or comes "
            "by a proxy there that does not set X-Forwarded-For, is believed to be on campus"
        ]
        assert folder.warnings(f"{text}enrolment: {{networks: [198.51.100.0/24, '2001:db9::/32']}}\n") == []

    @pytest.mark.parametrize("everybody", ["0.0.0.0/0", "::/0"])
    def test_are_not_told_by_anybody(self, folder: Folder, everybody: str) -> None:
        assert folder.problems(portal(f"trusted_proxies: [127.0.0.1, '{everybody}']")) == [
            "14: portal.trusted_proxies[1]: would take anybody's word about where they come from; name the proxies"
        ]

    @pytest.mark.parametrize("halves", ["0.0.0.0/1, 128.0.0.0/1", "'::/1', '8000::/2', 'c000::/2', 192.0.2.1"])
    def test_are_not_told_by_what_together_is_anybody(self, folder: Folder, halves: str) -> None:
        assert folder.problems(portal(f"trusted_proxies: [{halves}]")) == [
            "14: portal.trusted_proxies: together would take anybody's word about where they come from; "
            "name the proxies"
        ]


class TestNames:
    def test_of_clients_are_not_the_portals_own(self, folder: Folder) -> None:
        text = (
            well()
            .replace("name: vpn\n    address", "name: portal\n    address")
            .replace("client: vpn", "client: portal")
        )
        assert folder.problems(text) == [
            "4: clients[0].name: is what the portal itself is called, in policies and in the audit file; "
            "take another name"
        ]
        assert folder.problems(text.partition("portal: {")[0]) == []

    def test_of_its_user_are_never_roots(self, folder: Folder) -> None:
        assert folder.problems(portal("user: root")) == [
            "14: portal.user: must be somebody with no more rights than it needs, not root"
        ]

    def test_of_its_user_may_be_unknown_where_it_is_checked(self, folder: Folder) -> None:
        folder.write(folder.file.name, portal("help_desk: desk", "user: no-such-user-here"))
        assert load_usable(folder.file, {}, DICTIONARY).warnings == (
            f"{folder.file}:14: portal.user: there is no such user on this machine",
        )


class TestTimes:
    def test_idle_is_within_the_whole(self, folder: Folder) -> None:
        assert folder.problems(portal("idle_timeout: 2h, visit_lifetime: 1h")) == [
            "14: portal.idle_timeout: must not be longer than visit_lifetime"
        ]
        assert folder.problems(portal("idle_timeout: 1h, visit_lifetime: 1h")) == []

    @pytest.mark.parametrize(
        ("written", "wrong"),
        [
            ("visit_lifetime: 5m", "portal.visit_lifetime: is shorter than idle_timeout (15m, the default)"),
            ("idle_timeout: 20h", "portal.idle_timeout: is longer than visit_lifetime (8h, the default)"),
        ],
    )
    def test_alone_are_compared_with_what_the_other_is_by_default(
        self, folder: Folder, written: str, wrong: str
    ) -> None:
        """It is told of at what is written: nobody looks for what is not."""
        assert folder.problems(portal(f"help_desk: desk,\n  {written}")) == [f"15: {wrong}"]

    def test_that_cannot_be_read_are_told_of_once(self, folder: Folder) -> None:
        (problem,) = folder.problems(portal("idle_timeout: long, visit_lifetime: 1h"))
        assert problem.startswith("14: portal.idle_timeout: must be a duration")

    @pytest.mark.parametrize(("written", "seconds"), [("0s", 0.0), ("36h", 129600.0), ("30d", 2592000.0)])
    def test_to_wait_may_be_none(self, folder: Folder, written: str, seconds: float) -> None:
        assert folder.load(well(f"enrolment: {{wait: {written}}}")).configuration.enrolment.wait == seconds

    def test_to_wait_are_not_for_ever(self, folder: Folder) -> None:
        assert folder.problems(well("enrolment: {wait: 31d}")) == [
            '15: enrolment.wait: must be from 0s to 30d, not "31d"'
        ]


class TestHelpDesk:
    def test_that_is_nobody_is_warned_of(self, folder: Folder) -> None:
        assert folder.warnings(portal()) == [
            "14: portal: has no help_desk: nobody sees who asks for help there, and only `radius-mfa user` "
            "helps them"
        ]

    def test_without_an_account_in_it_is_warned_of(self, folder: Folder) -> None:
        assert folder.warnings(portal("help_desk: [DESK, nobodies]")) == [
            "14: portal.help_desk[1]: no account is in it, and there is no directory but directory.static"
        ]

    def test_is_named_as_the_directory_names_groups(self, folder: Folder) -> None:
        desk = f"portal: {{{WELL}}}\n"
        assert folder.problems(ldap() + desk) == [
            '19: portal.help_desk: "desk" is no DN, as memberOf has them; write cn=desk,…'
        ]
        assert folder.problems(ldap() + desk.replace("desk}", "'cn=desk,dc=example'}")) == []


class TestFirstFactors:
    def test_that_nobody_can_set_up_are_warned_of(self, folder: Folder) -> None:
        warning = (
            "15: enrolment.voucher: nobody can set up a first factor by themselves: name networks, "
            "or let voucher be true"
        )
        assert folder.warnings(well("enrolment: {voucher: false}")) == [warning]
        assert folder.warnings(well("enrolment: {voucher: false, networks: 192.0.2.0/24}")) == []
        assert folder.warnings(SMALL + "enrolment: {voucher: false}\n") == []

    @pytest.mark.parametrize("everywhere", ["0.0.0.0/0", "::/0"])
    def test_from_everywhere_are_warned_of(self, folder: Folder, everywhere: str) -> None:
        assert folder.warnings(well(f"enrolment: {{networks: ['{everywhere}']}}")) == [
            "15: enrolment.networks[0]: is everywhere: a stolen password is enough to set up a first factor"
        ]
        assert folder.warnings(well("enrolment: {networks: [0.0.0.0/1, 128.0.0.0/1]}")) == [
            "15: enrolment.networks: is everywhere: a stolen password is enough to set up a first factor"
        ]

    def test_without_an_app_are_warned_of(self, folder: Folder) -> None:
        factors = "factors: {mail: {smtp: smtps://m, sender: a@example.org}}"
        assert folder.warnings(well(factors)) == [
            "14: portal: without factors.totp nobody can set up an app; nor does a mailed code let the help desk "
            "do anything"
        ]


class TestStartingAnew:
    STRICT = "    factors: [totp]\n"
    WARNING = (
        'whoever has password and mailbox can set up an app at once, though "vpn" takes no mailed code; '
        "initialise: false sends them to the help desk instead"
    )

    def test_where_a_mailed_code_would_not_do_is_warned_of(self, folder: Folder) -> None:
        text = (well() + MAIL).replace("portal: {", f"{self.STRICT}portal: {{")
        assert folder.warnings(text) == [f"15: portal: {self.WARNING}"]
        assert folder.warnings(text + "enrolment: {initialise: true}\n") == [
            f"17: enrolment.initialise: {self.WARNING}"
        ]
        assert folder.warnings(text + "enrolment: {initialise: false}\n") == []

    @pytest.mark.parametrize("mild", ["    factors: [totp, mail]\n", "    second_factor: never\n", ""])
    def test_where_it_would_is_not(self, folder: Folder, mild: str) -> None:
        assert folder.warnings((well() + MAIL).replace("portal: {", f"{mild}portal: {{")) == []

    def test_where_no_mail_is_sent_is_not(self, folder: Folder) -> None:
        assert folder.warnings(well().replace("portal: {", f"{self.STRICT}portal: {{")) == []
