#!/bin/sh
# slapd in the foreground, over TLS alone.  A folder without a database is filled first.
set -eu
here=$(dirname "$0")
secrets=/etc/radius-mfa/secrets

if [ ! -e /var/lib/ldap/filled ]; then
    rm -f /var/lib/ldap/*.mdb
    # The password of the one that radius-mfa binds as is no part of the LDIF.
    hashed=$(tr -d '\n' <"$secrets/directory" | /usr/sbin/slappasswd -n -T /dev/stdin)
    sed "s|@PASSWORD@|$hashed|" "$here/people.ldif" | /usr/sbin/slapadd -f "$here/slapd.conf"
    touch /var/lib/ldap/filled
fi
exec /usr/sbin/slapd -d none -f "$here/slapd.conf" -h ldaps://:1636/
