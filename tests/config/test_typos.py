"""What administrators mistype, and the line each of them gets: where it is, what is wrong, what to do.

A new message is read here beside the others before anybody else has to read it at night.
"""

from __future__ import annotations

import pytest

from radius_mfa.config.profiles import GATEWAYS
from tests.config.support import Folder

# What a small campus might have.
CAMPUS = """\
listen:
  - udp: 127.0.0.1:1812
  - udp: "[::1]:1812"
clients:
  - name: vpn
    address: 192.0.2.10
    secret: ${VPN_SECRET}
    profile: anyconnect
    timeout: 10s
    retries: 2
    groups: [gateways]
    station: ip
  - name: wifi
    address: [198.51.100.0/24, "2001:db8:1::/48"]
    secret: ${WIFI_SECRET}
    realms: {EXAMPLE: "", example.org: ""}
directory:
  ldap:
    servers: [ldaps://ldap1.example.org, ldaps://ldap2.example.org]
    ca_file: ca.pem
    bind_dn: cn=radius,dc=example,dc=org
    bind_password: ${LDAP_PASSWORD}
    base_dn: ou=people,dc=example,dc=org
    user_filter: (uid={username})
    attributes: {id: entryUUID}
factors:
  totp: {issuer: Example University}
  recovery_codes: {count: 10}
lockout: {failures: 10, durations: [15m, 1h], suspend_after: 50}
policies:
  - name: staff
    when:
      client: [vpn, wifi]
      group: "cn=staff,ou=groups,dc=example,dc=org"
      days: mon-fri
      hours: "06:00-22:00"
    second_factor: required
    factors: [totp, recovery_codes]
    trust_device: true
    reply: {Class: staff, Session-Timeout: 28800}
  - name: kiosks
    when: {client: wifi, group: "cn=kiosks,ou=groups,dc=example,dc=org"}
    second_factor: never
    reply:
      Tunnel-Type: VLAN
      Tunnel-Medium-Type: IEEE-802
      Tunnel-Private-Group-Id: 120
contact: Service desk, extension 1234
timezone: Europe/Vienna
eap: {certificate: eap.pem, key: eap.key}
"""

ENVIRONMENT = {
    "VPN_SECRET": "Zk3pVw8qTn5xRm2b",
    "WIFI_SECRET": "q7Lx2vNc9sWd4fHj",
    "LDAP_PASSWORD": "bind-password",
}

PROFILES = ", ".join(GATEWAYS)
STAFF = '"cn=staff,ou=groups,dc=example,dc=org"'
DESK = "contact: Service desk, extension 1234"
SERVERS = "[ldaps://ldap1.example.org, ldaps://ldap2.example.org]"
FACTORS = "factors: [totp, recovery_codes]"
REPLY = "{Class: staff, Session-Timeout: 28800}"

EAP = "{certificate: eap.pem, key: eap.key}"

# What stands there, what the administrator wrote in its place, and what is said of it.
TYPOS = [
    (EAP, "{certificate: eap.pem}", "50: eap.key: is missing"),
    (
        EAP,
        "{certificate: epa.pem, key: eap.key}",
        '50: eap.certificate: "epa.pem" cannot be read: No such file or directory',
    ),
    (EAP, f"{EAP[:-1]}, method: ttls}}", "50: eap.method: unknown key; did you mean methods?"),
    (EAP, f"{EAP[:-1]}, methods: [tls]}}", '50: eap.methods[0]: must be ttls or peap, not "tls"'),
    (
        EAP,
        f"{EAP[:-1]}, methods: [peap, peap]}}",
        '50: eap.methods[1]: "peap" stands there already, on line 50; change one',
    ),
    (EAP, f"{EAP[:-1]}, methods: []}}", "50: eap.methods: must not be empty"),
    (EAP, f"{EAP[:-1]}, tls: 1.1}}", '50: eap.tls: must be 1.2 or 1.3, not "1.1"'),
    (
        EAP,
        f"{EAP[:-1]}, session_lifetime: 30s}}",
        '50: eap.session_lifetime: must be 0s, or from 1m to 365d, not "30s"',
    ),
    (
        EAP,
        f"{EAP[:-1]}, identity: username}}",
        '50: eap.identity: must be none, user-name or chargeable-user-identity, not "username"',
    ),
    ("timezone: Europe", "timezoen: Europe", "49: timezoen: unknown key; did you mean timezone?"),
    ("    retries: 2", "    retires: 2", "10: clients[0].retires: unknown key; did you mean retries?"),
    ("    ca_file: ca.pem", "    cafile: ca.pem", "20: directory.ldap.cafile: unknown key; did you mean ca_file?"),
    (
        "    user_filter:",
        "    userfilter:",
        "24: directory.ldap.userfilter: unknown key; did you mean user_filter?",
    ),
    ("issuer: Ex", "isuer: Ex", "27: factors.totp.isuer: unknown key; did you mean issuer?"),
    (
        "suspend_after: 50",
        "suspended_after: 50",
        "29: lockout.suspended_after: unknown key; did you mean suspend_after?",
    ),
    (
        "client: [vpn, wifi]",
        "client: {vpn, wifi}",
        "33: policies[0].when.client: begins with {, and so is a mapping to YAML; write a list as [a, b], or "
        "give each key a value",
    ),
    (
        "when: {client: wifi, group",
        "when: {client: vpn, ovpn, pam, group",
        "42: policies[1].when.client: what follows its comma has no colon and value; write key: value, "
        "a list as [a, b], or quotes around a value with a comma in it",
    ),
    (
        "Tunnel-Private-Group-Id: 120",
        "Tunnel-Private-Group-Id: {vlanId|120}",
        "47: policies[1].reply.Tunnel-Private-Group-Id: begins with {, and so is a mapping to YAML; "
        "put quotes around it, or give its key a value",
    ),
    (
        "      days: mon-fri",
        "      none: {days: sat}",
        "35: policies[0].when.none: unknown key; did you mean not?",
    ),
    (
        "      days: mon-fri",
        "      or: [{days: sat}, {days: sun}]",
        "35: policies[0].when.or: unknown key; did you mean any?",
    ),
    ("      days: mon-fri", "      NOT: {days: sat}", "35: policies[0].when.NOT: unknown key; did you mean not?"),
    (
        "policies:\n  - name: staff",
        "policies:\n    name: staff",
        "31: not valid YAML: is of a list, which goes on with a - on line 41: write - and a space before it",
    ),
    (
        "    secret: ${VPN_SECRET}",
        '    secret: "${VPN_SECRET}',
        "7: not valid YAML: a quote is opened here and closed on line 14 only; close it where the value ends",
    ),
    (
        "    second_factor: required",
        "    second-factor: required",
        "37: policies[0].second-factor: unknown key; did you mean second_factor?",
    ),
    (
        '      group: "cn=staff',
        '      groups: "cn=staff',
        "34: policies[0].when.groups: unknown key; did you mean group?",
    ),
    ("      days: mon-fri", "      day: mon-fri", "35: policies[0].when.day: unknown key; did you mean days?"),
    ("    groups: [gateways]", "    group: [gateways]", "11: clients[0].group: unknown key; did you mean groups?"),
    (
        "contact: Service",
        "secret: x\ncontact: Service",
        "48: secret: unknown key here; secret belongs under clients",
    ),
    (
        "    second_factor: required",
        "    second_factor: required\n    client: vpn",
        "38: policies[0].client: unknown key here; client belongs under policies.when",
    ),
    (
        "    second_factor: required",
        "    second_factor: required\n    Class: vpn",
        "38: policies[0].Class: unknown key here; an attribute such as Class belongs under when or reply",
    ),
    (
        "    base_dn: ou",
        "    policies: ou",
        "18: directory.ldap.base_dn: is missing\n"
        "23: directory.ldap.policies: unknown key here; policies belongs at the beginning of a line",
    ),
    ("contact: S", "group: S", "48: group: unknown key here; group belongs under policies.when"),
    (
        "contact: S",
        "timeout: 5s\ncontact: S",
        "48: timeout: unknown key here; timeout belongs under profiles.… or under clients",
    ),
    (
        "contact: S",
        "secret_file: x\ncontact: S",
        "48: secret_file: unknown key here; secret_file belongs under clients",
    ),
    (
        "directory:\n  ldap:\n",
        "directory:\n",
        "18: directory.servers: unknown key here; servers belongs under directory.ldap\n"
        "19: directory.ca_file: unknown key here; ca_file belongs under directory.ldap or under factors.mail\n"
        "20: directory.bind_dn: unknown key here; bind_dn belongs under directory.ldap\n"
        "21: directory.bind_password: unknown key here; bind_password belongs under directory.ldap\n"
        "22: directory.base_dn: unknown key here; base_dn belongs under directory.ldap or under "
        "directory.ldap.groups\n"
        "23: directory.user_filter: unknown key here; user_filter belongs under directory.ldap\n"
        "24: directory.attributes: unknown key here; attributes belongs under directory.ldap or under "
        "directory.static.users",
    ),
    (
        "    secret: ${VPN_SECRET}",
        "  secret: ${VPN_SECRET}",
        "7: not valid YAML: begins in another column than what it belongs to, which begins on line 5",
    ),
    (
        "    secret: ${VPN_SECRET}",
        "      secret: ${VPN_SECRET}",
        "7: not valid YAML: is indented deeper than the line above, which has a value already",
    ),
    (
        "    secret: ${VPN_SECRET}",
        "\tsecret: ${VPN_SECRET}",
        "7: not valid YAML: a tab stands where the line begins; indent with spaces",
    ),
    (
        "    when:\n      client: [vpn, wifi]",
        "    when:\n    client: [vpn, wifi]",
        "32: policies[0].when: has no value; give it one, or remove it\n"
        "34: not valid YAML: begins in another column than what it belongs to, which begins on line 31",
    ),
    (
        "    timeout: 10s",
        "    timeout 10s",
        "9: not valid YAML: has no colon and space after the key, as in key: value",
    ),
    (
        "    timeout: 10s",
        "    timeout:10s",
        "9: not valid YAML: has no colon and space after the key, as in key: value",
    ),
    (DESK, "contact Service desk", "48: not valid YAML: has no colon and space after the key, as in key: value"),
    (DESK, "contact: @desk", "48: not valid YAML: put quotes around a value that begins with @"),
    (DESK, "contact: `desk`", "48: not valid YAML: put quotes around a value that begins with `"),
    (DESK, "contact: %desk", "48: not valid YAML: put quotes around a value that begins with %"),
    (
        DESK,
        "contact: Service desk: 1234",
        "48: not valid YAML: put quotes around a value with a colon and a space in it",
    ),
    (
        DESK,
        "contact: *desk",
        "48: contact: anchors (&) and aliases (*) are not read; write the value out, or put quotes around it",
    ),
    (
        DESK,
        "contact: &desk",
        "48: contact: anchors (&) and aliases (*) are not read; write the value out, or put quotes around it",
    ),
    (DESK, "contact: !desk", "48: contact: tags (!) are not read; write the plain value, or put quotes around it"),
    (
        DESK,
        "contact: #1234",
        "48: contact: has no value before the comment that # begins; put quotes around it, or remove the key",
    ),
    (DESK, "contact: 'Service desk", "48: not valid YAML: a quote is opened here and never closed"),
    (
        "    secret: ${VPN_SECRET}",
        "    secret: *********",
        "7: not valid YAML: put quotes around a value that begins with * or &",
    ),
    (
        "    trust_device: true",
        "    trust_device: yes",
        '39: policies[0].trust_device: must be true or false, in small letters and without quotes, not "yes"',
    ),
    (
        "    trust_device: true",
        "    trust_device: True",
        '39: policies[0].trust_device: must be true or false, in small letters and without quotes, not "True"',
    ),
    (
        "    trust_device: true",
        '    trust_device: "true"',
        '39: policies[0].trust_device: must be true or false, in small letters and without quotes, not "true"',
    ),
    (
        "    timeout: 10s",
        "    timeout: 10",
        '9: clients[0].timeout: must be a duration such as 500ms, 5s, 10m, 24h or 7d, not "10"',
    ),
    (
        "    timeout: 10s",
        "    timeout: 10 s",
        '9: clients[0].timeout: must be a duration such as 500ms, 5s, 10m, 24h or 7d, not "10 s"',
    ),
    (
        "    timeout: 10s",
        "    timeout: 10min",
        '9: clients[0].timeout: must be a duration such as 500ms, 5s, 10m, 24h or 7d, not "10min"',
    ),
    (
        "    retries: 2",
        "    retries: two",
        '10: clients[0].retries: must be a whole number from 0 to 20, not "two"',
    ),
    ("    retries: 2", "    retries: -1", '10: clients[0].retries: must be a whole number from 0 to 20, not "-1"'),
    (
        "  - udp: 127.0.0.1:1812",
        "  - udp: 127.0.0.1",
        '2: listen[0].udp: must be an IP address and a port, as 127.0.0.1:1812 or "[::1]:1812", not "127.0.0.1"',
    ),
    (
        "  - udp: 127.0.0.1:1812",
        "  - udp: localhost:1812",
        '2: listen[0].udp: must be an IP address and a port, as 127.0.0.1:1812 or "[::1]:1812", not '
        '"localhost:1812"',
    ),
    (
        "  - udp: 127.0.0.1:1812",
        "  - udp: 1812",
        '2: listen[0].udp: must be an IP address and a port, as 127.0.0.1:1812 or "[::1]:1812", not "1812"',
    ),
    (
        "  - udp: 127.0.0.1:1812",
        "  - upd: 127.0.0.1:1812",
        "2: listen[0].upd: unknown key; did you mean udp?\n2: listen[0]: must have either udp or radsec",
    ),
    (
        "  - udp: 127.0.0.1:1812",
        "  - 127.0.0.1:1812",
        '2: listen[0]: must be a mapping of keys and values, not "127.0.0.1:1812"',
    ),
    (
        '  - udp: "[::1]:1812"',
        "  - udp: ::1:1812",
        '3: listen[1].udp: must be an IP address and a port, as 127.0.0.1:1812 or "[::1]:1812", not "::1:1812"',
    ),
    (
        '  - udp: "[::1]:1812"',
        "  - udp: [::1]:1812",
        "3: not valid YAML: put quotes around a value that begins with :",
    ),
    (
        '  - udp: "[::1]:1812"',
        '  udp: "[::1]:1812"',
        "3: not valid YAML: begins in another column than what it belongs to, which begins on line 2",
    ),
    (
        "address: 192.0.2.10",
        "address: 192.0.2.10/24",
        '6: clients[0].address: "192.0.2.10/24" has bits set beyond the prefix; write 192.0.2.0/24, or '
        "the address alone",
    ),
    (
        "address: 192.0.2.10",
        "address: 192.0.2.300",
        '6: clients[0].address: must be an IP address or a prefix such as 192.0.2.0/24, not "192.0.2.300"',
    ),
    (
        "address: 192.0.2.10",
        "address: vpn.example.org",
        '6: clients[0].address: must be an IP address or a prefix such as 192.0.2.0/24, not "vpn.example.org"',
    ),
    (
        "address: 192.0.2.10",
        "address: 192.0.2.10 - 192.0.2.20",
        '6: clients[0].address: must be an IP address or a prefix such as 192.0.2.0/24, not "192.0.2.10 '
        '- 192.0.2.20"',
    ),
    (
        "address: 192.0.2.10",
        "address: 192.0.2.10, 192.0.2.11",
        '6: clients[0].address: is several at once; write a list, each in quotes: ["…", "…"]',
    ),
    (
        "address: 192.0.2.10",
        "address: [198.51.100.0/24]",
        '14: clients[1].address[0]: "198.51.100.0/24" is a client\'s address already, on line 6; change one',
    ),
    ("  - name: wifi", "  - name: vpn", '13: clients[1].name: "vpn" names another client, on line 5; change one'),
    (STAFF, "staff", '34: policies[0].when.group: "staff" is no DN, as memberOf has them; write cn=staff,…'),
    (
        STAFF,
        "cn=staff;ou=groups",
        '34: policies[0].when.group: "cn=staff;ou=groups" is no DN, as memberOf has them; between its '
        'parts stand commas; in a name, each of , + " \\ < > ; has a \\ before it (RFC 4514)',
    ),
    (
        "{Class: staff, Sess",
        "{Clas: staff, Sess",
        "40: policies[0].reply.Clas: unknown attribute 'Clas' (did you mean Class?)",
    ),
    (
        "Session-Timeout: 28800",
        "Session-Timeout: 8h",
        "40: policies[0].reply.Session-Timeout: '8h' is not a number",
    ),
    (
        "Session-Timeout: 28800",
        "Session-Timeout: [28800",
        "40: not valid YAML: [ or { is opened here, and a comma or its end is missing; inside, put "
        "quotes around values with [ ] { } or , in them",
    ),
    (
        "Tunnel-Type: VLAN",
        "Tunnel-Type: VALN",
        "45: policies[1].reply.Tunnel-Type: 'VALN' is not a number or one of its named values (did you "
        "mean VLAN?)",
    ),
    (
        "Tunnel-Private-Group-Id: 120",
        "Tunnel-Private-Group-Id: 5000",
        "47: policies[1].reply.Tunnel-Private-Group-Id: VLAN 5000 is not in 1-4094",
    ),
    (REPLY, "Class=staff", '40: policies[0].reply: must be a mapping of keys and values, not "Class=staff"'),
    (
        REPLY,
        "[Class: staff]",
        "40: policies[0].reply: must be a mapping of keys and values, not a list; write its keys without - or [ ]",
    ),
    (
        "profile: anyconnect",
        "profile: anyconect",
        f'8: clients[0].profile: there is no profile "anyconect"; did you mean anyconnect? there are {PROFILES}',
    ),
    (
        "profile: anyconnect",
        "profile: cisco",
        f'8: clients[0].profile: there is no profile "cisco"; there are {PROFILES}',
    ),
    (
        FACTORS,
        "factors: [totp, sms]",
        '38: policies[0].factors[1]: must be totp, mail or recovery_codes, not "sms"',
    ),
    (FACTORS, "factors: [totp, mail]", '38: policies[0].factors[1]: "mail" is not configured; add factors.mail'),
    (FACTORS, "factors: [otp]", '38: policies[0].factors[0]: must be totp, mail or recovery_codes, not "otp"'),
    (
        'when: {client: wifi, group: "cn=kiosks,ou=groups,dc=example,dc=org"}',
        'when: {group: "cn=kiosks,ou=groups,dc=example,dc=org"}',
        "43: policies[1].second_factor: never must name a client; add when: {client: …}",
    ),
    (
        "    second_factor: never",
        "    second_factor: none",
        '43: policies[1].second_factor: must be required, when_enrolled or never, not "none"',
    ),
    (
        "    second_factor: required",
        "    second_factor: true",
        "37: policies[0].second_factor: must be required, when_enrolled or never, not true",
    ),
    ("${VPN_SECRET}", "${VPN_SECERT}", "7: clients[0].secret: the environment variable VPN_SECERT is not set"),
    (
        "${VPN_SECRET}",
        "${VPN_SECRET:-Zk3pVw8qTn5xRm2b}",
        '7: clients[0].secret: "${VPN_SECRET…}" is not the name of one (letters, digits and _): a variable is '
        "${NAME} and nothing else; it takes no default",
    ),
    (
        "    secret: ${VPN_SECRET}\n",
        "    secret:Zk3pVw8qTn5xRm2b: x\n",
        "5: clients[0].secret: is missing\n"
        "7: clients[0].secret…: unknown key; behind secret belong a colon and a space",
    ),
    (
        "secret: ${VPN_SECRET}",
        "secret_file: vpn.secret",
        '7: clients[0].secret_file: "vpn.secret" cannot be read: No such file or directory',
    ),
    (
        "secret: ${VPN_SECRET}",
        "secret_file: open.secret",
        '7: clients[0].secret_file: "open.secret" is open to everyone on this machine; chmod o= it',
    ),
    (
        "    user_filter: (uid={username})",
        "    user_filter: (uid={username}",
        "24: directory.ldap.user_filter: has parentheses that do not match",
    ),
    (
        "    user_filter: (uid={username})",
        "    user_filter: uid={username}",
        "24: directory.ldap.user_filter: must stand in parentheses, as in (uid=…)",
    ),
    (
        "    user_filter: (uid={username})",
        "    user_filter: (uid=%s)",
        "24: directory.ldap.user_filter: must have {username} in it, as in (uid={username})",
    ),
    (
        "    user_filter: (uid={username})",
        "    user_filter: (uid={user})",
        "24: directory.ldap.user_filter: must have {username} in it, as in (uid={username})",
    ),
    (
        SERVERS,
        "[ldap://ldap1.example.org]",
        "20: directory.ldap.ca_file: is of no use without ldaps:// or start_tls; take one of these, or remove it",
    ),
    (
        SERVERS,
        "ldap1.example.org",
        "19: directory.ldap.servers: must be a URL that begins with ldap:// or ldaps:// and a host",
    ),
    (
        SERVERS,
        "ldaps://ldap1.example.org/dc=example",
        "19: directory.ldap.servers: must end after host and port; nothing else of the URL is read",
    ),
    (
        SERVERS,
        "ldaps://ldap1.example.org, ldaps://ldap2.example.org",
        '19: directory.ldap.servers: is several at once; write a list, each in quotes: ["…", "…"]',
    ),
    (
        "    ca_file: ca.pem",
        "    ca_file: ca.crt",
        '20: directory.ldap.ca_file: "ca.crt" cannot be read: No such file or directory',
    ),
    (
        "timezone: Europe/Vienna",
        "timezone: CEST",
        '49: timezone: must be a time zone such as Europe/Vienna or UTC, not "CEST"',
    ),
    (
        "timezone: Europe/Vienna",
        "timezone: europe/vienna",
        '49: timezone: must be a time zone such as Europe/Vienna or UTC, not "europe/vienna"',
    ),
    (
        '"06:00-22:00"',
        '"22:00-06:00"',
        '36: policies[0].when.hours: goes past midnight; write ["22:00-24:00", "00:00-06:00"]',
    ),
    ('"06:00-22:00"', "6-22", '36: policies[0].when.hours: must be hours such as "08:00-20:00", not "6-22"'),
    (
        '"06:00-22:00"',
        '"06:00-24:30"',
        '36: policies[0].when.hours: must be hours such as "08:00-20:00", not "06:00-24:30"',
    ),
    (
        "days: mon-fri",
        "days: monday",
        "35: policies[0].when.days: must be days such as mon-fri or sat,sun (of mon tue wed thu fri sat "
        'sun), not "monday"',
    ),
    (
        "days: mon-fri",
        "days: monday-friday",
        "35: policies[0].when.days: must be days such as mon-fri or sat,sun (of mon tue wed thu fri sat "
        'sun), not "monday-friday"',
    ),
    (
        "days: mon-fri",
        "days: weekdays",
        "35: policies[0].when.days: must be days such as mon-fri or sat,sun (of mon tue wed thu fri sat "
        'sun), not "weekdays"',
    ),
    (
        "    groups: [gateways]",
        "    groups: [gateways]\n    timeout: 5s",
        "12: clients[0].timeout: is given twice, first on line 9; remove one",
    ),
    (DESK, "contact:", "48: contact: has no value; give it one, or remove it"),
    (
        "    when: {client: wifi, group",
        "    when: [{client: wifi}] #",
        "42: policies[1].when: must be a mapping of keys and values, not a list; write its keys without "
        "- or [ ]\n"
        "43: policies[1].second_factor: never must name a client; add when: {client: …}",
    ),
    (
        "    when:\n      client: [vpn, wifi]\n",
        "    when:\n      - client: [vpn, wifi]\n",
        "34: not valid YAML: begins in another column than what it belongs to, which begins on line 33",
    ),
    (DESK, "contact: true", "48: contact: must be text; put quotes around true"),
    (DESK, "contact: [a, b]", "48: contact: must be a single value, not a list"),
    ("    station: ip", "    station: IP", '12: clients[0].station: must be none, mac or ip, not "IP"'),
    (
        '    realms: {EXAMPLE: "", example.org: ""}',
        "    realms: example.org",
        "16: clients[1].realms: must be keep, strip, or a mapping of realms to what each becomes, not "
        '"example.org"',
    ),
    (
        "durations: [15m, 1h]",
        "durations: [1h, 15m]",
        "29: lockout: durations must not get shorter: each lock lasts at least as long as the last",
    ),
    (
        "suspend_after: 50",
        "suspend_after: 10",
        "29: lockout: suspend_after must be more than failures, or nobody is ever locked for a time",
    ),
    (
        "{issuer: Example University}",
        "Example",
        '27: factors.totp: must be a mapping of keys and values, not "Example"',
    ),
    ("{issuer: Example University}", "", "27: factors.totp: has no value; give it one, or remove it"),
    (
        "bind_dn: cn=radius,dc=example,dc=org",
        "bind_dn:",
        "21: directory.ldap.bind_dn: has no value; give it one, or remove it",
    ),
    (
        "    bind_password: ${LDAP_PASSWORD}\n",
        "",
        "18: directory.ldap.bind_password: is missing; add it, or bind_password_file",
    ),
    ("  - name: kiosks\n    when", "  - when", "41: policies[1].name: is missing"),
]

# What works, and yet not as it was meant.
WARNED = [
    (
        EAP,
        f"{EAP[:-1]}, tls: 1.3}}",
        '50: eap.tls: leaves out most supplicants, which know only 1.2; add "1.2"',
    ),
    (
        "client: [vpn, wifi]",
        "client: [vnp, wifi]",
        '33: policies[0].when.client[0]: there is no client "vnp", so this never holds; did you mean "vpn"?\n'
        "39: policies[0].trust_device: no client that it could match says what a station is worth "
        "(station: mac or ip): none is trusted",
    ),
    (
        "client: [vpn, wifi]",
        "client: vpn, wifi",
        '33: policies[0].when.client: there is no client "vpn, wifi", so this never holds; several are '
        "a list, [a, b]",
    ),
    (
        "${VPN_SECRET}",
        "$VPN_SECRET",
        "7: clients[0].secret: is taken as written; a variable is ${NAME} and nothing else",
    ),
    (
        "${VPN_SECRET}",
        "testing123",
        "7: clients[0].secret: is one that everybody knows, and tried first; take 16 octets or more at random",
    ),
]


@pytest.fixture
def campus(folder: Folder) -> Folder:
    for name in ("ca.pem", "eap.pem", "eap.key"):
        folder.write(name)
    folder.write("open.secret", "Zk3pVw8qTn5xRm2b", 0o644)
    return folder


def mistyped(right: str, wrong: str) -> str:
    assert CAMPUS.count(right) == 1, right
    return CAMPUS.replace(right, wrong)


def test_without_a_typo_nothing_is_said(campus: Folder) -> None:
    assert campus.load(CAMPUS, ENVIRONMENT).warnings == ()


@pytest.mark.parametrize(("right", "wrong", "said"), TYPOS, ids=[wrong for _, wrong, _ in TYPOS])
def test_a_typo_is_told_with_its_line_and_what_to_do(campus: Folder, right: str, wrong: str, said: str) -> None:
    assert campus.problems(mistyped(right, wrong), ENVIRONMENT) == said.split("\n")


@pytest.mark.parametrize(("right", "wrong", "said"), WARNED, ids=[wrong for _, wrong, _ in WARNED])
def test_what_will_not_do_what_was_meant_is_warned_of(campus: Folder, right: str, wrong: str, said: str) -> None:
    found = campus.load(mistyped(right, wrong), ENVIRONMENT).warnings
    assert [each.removeprefix(f"{campus.file}:") for each in found] == said.split("\n")


# One a line of the file, in no order.
DOZEN = [
    (DESK, "contact:"),
    (SERVERS, "ldap1.example.org"),
    ("  - udp: 127.0.0.1:1812", "  - udp: 127.0.0.1"),
    ("days: mon-fri", "days: monday"),
    ("    timeout: 10s", "    timeout: 10"),
    ("address: 192.0.2.10", "address: 192.0.2.10/24"),
    ("timezone: Europe", "timezoen: Europe"),
    ("${VPN_SECRET}", "${VPN_SECERT}"),
    (FACTORS, "factors: [totp, sms]"),
    ("Tunnel-Private-Group-Id: 120", "Tunnel-Private-Group-Id: 5000"),
    (STAFF, "staff"),
    ("    trust_device: true", "    trust_device: yes"),
]


def test_a_dozen_at_once_are_a_dozen_lines_in_the_order_of_the_file(campus: Folder) -> None:
    text = CAMPUS
    for right, wrong in DOZEN:
        text = text.replace(right, wrong)
    alone = [said for right, wrong, said in TYPOS if (right, wrong) in DOZEN]
    assert len(alone) == len(DOZEN)
    assert campus.problems(text, ENVIRONMENT) == sorted(alone, key=lambda said: int(said.split(":")[0]))


# Of one policy: what the administrator wrote in it, on line 38 or 40.
MEANT_OTHERWISE = [
    (
        FACTORS,
        "unenrolled: never",
        'unenrolled: must be reject, or allow_until and a day, as allow_until 2027-03-31, not "never"',
    ),
    (REPLY, "{VLAN: 40}", "reply.VLAN: unknown attribute 'VLAN' (did you mean vlan?)"),
    (REPLY, "{Class: {default: a}}", "reply.Class.default: is taken for a group; for everybody else write else"),
    (REPLY, "{vlan: '%{vlanId}'}", "reply.vlan: FreeRADIUS's %{…} is {…} here"),
    (REPLY, "{vlan: '{vlanId|4999}'}", "reply.vlan: where the entry has no value: VLAN 4999 is not in 1-4094"),
    (
        REPLY,
        "{Class: '{username}'}",
        "reply.Class: {username} is a word of user_filter; take the attribute, as {uid}",
    ),
]


@pytest.mark.parametrize(
    ("right", "wrong", "said"), MEANT_OTHERWISE, ids=[wrong for _, wrong, _ in MEANT_OTHERWISE]
)
def test_what_is_called_otherwise_elsewhere_is_told_what_it_is_here(
    campus: Folder, right: str, wrong: str, said: str
) -> None:
    line = 1 + CAMPUS[: CAMPUS.index(right)].count("\n")
    assert campus.problems(mistyped(right, wrong), ENVIRONMENT) == [f"{line}: policies[0].{said}"]
