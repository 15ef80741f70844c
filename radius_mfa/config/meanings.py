"""What each key of the YAML means, by the section of the model that it stands in: for who writes the file.

Editors show it (config/schema.json), and docs/reference/yaml.md is made of it.  No word here of how long, how many
or what it is unless said otherwise: types, limits and defaults are the model's.
"""

from __future__ import annotations

from collections.abc import Mapping

MEANINGS: Mapping[str, Mapping[str, str]] = {
    "Configuration": {
        "listen": "the sockets to listen on; [] inside of FreeRADIUS, which has the addresses and secrets",
        "workers": "processes that share each UDP port; changed by a restart",
        "profiles": "profiles of your own, by name, each made from one that is shipped",
        "dictionaries": "files with attributes of further vendors, in FreeRADIUS's format: read after our own",
        "clients": "the gateways that may ask, and how each is known",
        "directory": "where accounts are",
        "factors": "the second factors that there are; one that is absent is offered to nobody",
        "challenge_lifetime": "how long a user has to look up a code and type it",
        "lockout": "what wrong codes come to",
        "enrolment": "what users set up for themselves; what staff do is done at once",
        "trusted_devices": "devices at which `CODE trust` was typed, where no code is asked for",
        "storage": "the store: an SQLite file (four slashes for an absolute path) or a PostgreSQL database",
        "storage_password": "the password of the PostgreSQL user",
        "key_file": "the key that seals what is stored; `radius-mfa keys init` makes it",
        "policies": "what is asked and returned: the first policy whose conditions all hold decides; where none"
        " does, the login is refused",
        "contact": "told to a user who is stuck",
        "messages": "a folder of your own texts for users, a file a language",
        "eap": "802.1X for Wi-Fi; without it EAP is refused",
        "portal": "the web pages of users and help desk; without it there is no `radius-mfa portal`",
        "metrics": "counters for Prometheus; without it there are none to fetch",
        "log": "what the server writes to standard error",
        "audit": "the line that is kept of every request",
        "timezone": "of days and hours in policies, and of the times in mails",
        "when_directory_fails": "the answer while directory or store is broken: an Access-Reject, or nothing, so"
        " that the gateway asks another server",
        "status_server": "whether Status-Server and `probe_users` are answered only while directory and store"
        " work, or always",
        "user": "whom the server becomes once its ports are bound, when it was started as root",
    },
    "Listener": {
        "udp": "RADIUS over UDP, at this address and port",
        "radsec": "RADIUS over TLS, at this address and port; takes `certificate`, `key` and `client_ca`, or no"
        " certificate for clients with a `psk`",
        "certificate": "the server's certificate, its chain after it",
        "key": "its key, not encrypted, closed to others (chmod o=)",
        "client_ca": "who signs the gateways' certificates; that alone admits nobody",
        "idle_timeout": "how long a RadSec connection may be without a packet until it is closed",
    },
    "OwnProfile": {
        "like": "the shipped profile that holds for all that is not said here",
        "suffix": "one-field mode: the character between password and code, or 6 for six digits right behind the"
        " password; none: the code is asked for with an Access-Challenge",
        "rounds": "answers a user may give until the login is refused",
        "shows_answer": "whether what is typed at a challenge is to be seen (the attribute Prompt)",
        "timeout": "how long such a gateway waits for an answer",
        "retries": "how often it asks again after that",
    },
    "Client": {
        "name": "what log, audit file, metrics and policies call it",
        "address": "where its packets come from; the longest prefix wins, two equal ones are an error",
        "secret": "the shared secret; two while one is being replaced",
        "certificate": "RadSec: one subjectAltName of its certificate, exactly; a CA alone admits nobody",
        "psk": "RadSec without certificates: a shared key",
        "profile": "the make of gateway: one that is shipped (docs/gateways), or one of `profiles`",
        "message_authenticator": "whether requests without a Message-Authenticator are dropped; auto: from a"
        " source's first one on (CVE-2024-3596)",
        "timeout": "the gateway's own setting: how long it waits for an answer; its profile's unless given",
        "retries": "the gateway's own setting: how often it asks again after that; its profile's unless given",
        "groups": "names by which policies call several clients at once (`client_group`), and within which trust"
        " in a device holds",
        "station": "what its Calling-Station-Id is worth: a MAC address, the user's own IP address, or nothing, so"
        " that no device can be trusted",
        "realms": "of user@realm and REALM\\user: keep looks up user@realm, and user for REALM\\user; strip looks"
        " up user for both; a mapping says which realms are served and what each becomes",
        "realm_required": "whether a name without a realm is refused",
        "probe_users": "names with which the gateway only looks whether somebody answers: refused at once, and no"
        " directory is asked; nobody can log in there under one of them",
    },
    "Psk": {
        "identity": "the name that the gateway says",
        "key": "32 to 128 hex digits, as `openssl rand -hex 32` prints them",
    },
    "Directory": {
        "ldap": "an LDAP directory",
        "static": "accounts in this file, looked at before LDAP: a laboratory, or when the directory is down",
    },
    "Ldap": {
        "servers": "in this order: the next one when one fails",
        "start_tls": "beside ldap://: TLS is begun before anything is said",
        "ca_file": "who signs the servers' certificates; without it, whom the system trusts",
        "bind_dn": "as whom entries are searched",
        "bind_password": "the password of `bind_dn`",
        "base_dn": "below which users are searched",
        "user_filter": "finds the entry of {username}, and must find exactly one",
        "active_filter": "who is activated; without it, everybody",
        "attributes": "what the directory calls things",
        "groups": "how a user's groups are found",
        "wrong_passwords": "how many wrong passwords of a user the directory gets to see: fewer than it takes to"
        " lock the account there",
        "password_url": "told to whose password has expired",
    },
    "LdapAttributes": {
        "id": "what second factors are kept under: exactly one value, never reused",
        "name": "the user's name, as people say it",
        "language": "the language of what the user reads; English otherwise",
        "groups": "the groups that an entry names",
    },
    "LdapGroups": {
        "by": "attribute: those that the entry names (`attributes.groups`); search: those that `filter` finds;"
        " in_chain: Active Directory's way, with groups within groups",
        "base_dn": "below which groups are searched; the users' unless given",
        "filter": "finds the groups of a member, {dn}",
        "nested": "whether groups that those are in count, too",
    },
    "WrongPasswords": {
        "limit": "wrong passwords of one user that get through; 0: all",
        "within": "the count begins anew when so long has passed since the last one that got through",
    },
    "Static": {
        "users": "the accounts",
        "wrong_passwords": "the lock of these accounts",
    },
    "StaticUser": {
        "username": "what is typed",
        "password": "the argon2id hash of the password: `radius-mfa hash` prints it",
        "groups": "what a policy's `group` finds",
        "active": "whether the account may log in",
        "attributes": "what policies may return of the entry",
    },
    "Factors": {
        "totp": "codes of an authenticator app: 6 digits, a new one every 30 s",
        "mail": "codes of 8 digits, to an address that was verified",
        "recovery_codes": "codes of 12 letters for a drawer, each good once",
    },
    "Totp": {
        "issuer": "what the authenticator app shows",
        "window": "steps of 30 s before and after the present one whose codes are right as well",
    },
    "Mail": {
        "smtp": "the mail server; smtps:// for TLS from the first octet (port 465)",
        "username": "the name to log in with there; both this and `password`, or neither",
        "password": "the password to log in with there",
        "start_tls": "beside smtp://: false only for a server that is trusted and near",
        "ca_file": "who signs the server's certificate; without it, whom the system trusts",
        "sender": "whom the mails are from",
        "lifetime": "how long a code is good, once and for three tries",
        "per_day": "mails with a code to one user in a day",
        "cooldown": "asked again within it, the code on its way has to do",
        "blocked_domains": "no address there is taken: it is read with the password it is to protect",
    },
    "RecoveryCodes": {
        "count": "codes that a user gets at a time",
    },
    "Lockout": {
        "failures": "wrong codes until a lock",
        "durations": "how long the first lock lasts, the second, and so on; the last one repeats",
        "suspend_after": "wrong codes since the last right one until the app is suspended: until a mailed or a"
        " recovery code was right, or `radius-mfa user unlock`",
    },
    "Enrolment": {
        "order": "the factor that comes before any other",
        "networks": "from where a first factor takes nothing but the password; elsewhere it takes a voucher",
        "voucher": "whether a voucher does instead, which `radius-mfa user voucher` or the help desk gives out;"
        " false: a first factor is set up from `networks` only",
        "wait": "until a factor counts that was added by a weaker one; 0s: at once",
        "initialise": "whether who can show no factor any more may start anew by a mailed link and the password",
    },
    "TrustedDevices": {
        "lifetime": "how long, from the login with the code on; not renewed",
    },
    "Policy": {
        "name": "what log, audit file and `radius-mfa explain` call it",
        "when": "the conditions, all of which must hold; without any, it always decides",
        "second_factor": "whether one is asked for: always, of those who have one, or of nobody (which must name a"
        " client)",
        "factors": "those that may answer; all that are configured unless given",
        "trust_device": "whether a code may be spared on a trusted device, at clients with a `station`",
        "unenrolled": "who has never had a second factor: refused, or let in without up to and including that day",
        "reply": "attributes of the Access-Accept: a value, a list, or values by group; `vlan` stands for the"
        " three that a switch wants",
    },
    "When": {
        "client": "names of clients",
        "client_group": "names in `groups` of clients",
        "group": "the user's groups, as the directory has them; of a DN, all of it",
        "user": "user names, as the directory has them",
        "realm": "realms, as the user typed them",
        "station": "the user's device, where the client has a `station`",
        "days": "days of the week, in `timezone`",
        "hours": "hours of the day, in `timezone`",
        "all": "further conditions, all of which must hold",
        "any": "further conditions, at least one of which must hold",
        "not": "further conditions, none of which may hold",
    },
    "Eap": {
        "certificate": "what the server shows to devices, its intermediates after it",
        "key": "its key, not encrypted, closed to others (chmod o=)",
        "methods": "outer methods, the first of which is offered first: EAP-TTLS with PAP or EAP-GTC inside, PEAP"
        " with EAP-GTC",
        "tls": "versions of TLS that are spoken; many supplicants fail at 1.3",
        "session_lifetime": "how long after a login a device may take up its TLS session without password and"
        " code; 0s: never",
        "identity": "which name of the user the Access-Accept has for the gateway's accounting, which sees the"
        " outer one otherwise",
    },
    "Portal": {
        "listen": "where browsers, or the web server before it, connect to",
        "url": "scheme, host and port as browsers say them; http:// on this machine only",
        "trusted_proxies": "whose X-Forwarded-For is believed",
        "certificate": "for TLS of its own, without a web server before it; its chain after it",
        "key": "its key, not encrypted, closed to others (chmod o=)",
        "help_desk": "groups of the directory whose members look after others",
        "idle_timeout": "signed out after so long without doing anything",
        "visit_lifetime": "signed out after so long in any case",
        "user": "whom the portal becomes when it was started as root; the server's `user` unless given",
        "health": "where /healthz and /readyz are answered as well, whatever browsers do; not for strangers",
    },
    "Metrics": {
        "listen": "where Prometheus fetches them; whoever can connect sees them",
    },
    "Log": {
        "format": "json: an object a line; console: for a terminal",
        "level": "the least important that is written",
    },
    "Audit": {
        "file": "where the lines go; where neither this nor `syslog` is, to the log",
        "syslog": "where they go as well, or alone: `unix:/dev/log`, `udp://loghost:514`, `tcp://loghost:514`",
        "retention": "how long logins are kept in the store, and rotated files where `delete_rotated` is true",
        "delete_rotated": "whether what the file was rotated to is deleted after `retention`",
    },
}
