# What compose.yaml starts, one after the other, in a private machine: one root folder that cannot be written, and one
# loopback interface, in place of containers and their network.  test_compose.py says the values of what is in capitals.

mkdir -p /etc/radius-mfa /etc/openldap /opt/radius-mfa/bin
cp "$COMPOSE/radius-mfa.yaml" /etc/radius-mfa
cp "$COMPOSE/prepare.sh" "$COMPOSE"/openldap/* /etc/openldap
chmod -R a+rX /etc/radius-mfa /etc/openldap
echo '127.0.0.1 localhost openldap postgresql' >/etc/hosts
cp -r "$PACKAGE" /opt/radius-mfa/package
printf '#!/bin/sh\nPYTHONPATH=/opt/radius-mfa/package exec %s -m radius_mfa "$@"\n' "$PYTHON" >/opt/radius-mfa/bin/radius-mfa
chmod 0755 /opt/radius-mfa/bin/radius-mfa
for each in /var/lib/ldap /var/lib/postgresql; do mount -t tmpfs none $each; done
install -d -m 1777 /var/lib/postgresql/data /run/postgresql
eval "$FOLDERS"
export PATH=/opt/radius-mfa/bin:$PATH LDAPTLS_CACERT=/etc/radius-mfa/secrets/ca.pem
mount -o remount,bind,ro /

confined="setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all
    env -C / HOME=/"
trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT
wait_for() {
    for _ in $(seq 100); do if $1 sh -c "$2" >/dev/null 2>&1; then return; fi; sleep 0.1; done
    $1 sh -c "$2"
}

# One of the other servers, which has a volume of its own where the secrets are, and none of the others.
inside() {
    unshare --mount sh -c '
        mount --bind "/etc/radius-mfa/$0" /etc/radius-mfa/secrets
        for each in /etc/radius-mfa/openldap /etc/radius-mfa/postgresql /var/lib/radius-mfa; do mount -t tmpfs none $each; done
        exec "$@"' "$@"
}
openldap="inside openldap $confined"
postgresql="inside postgresql $confined"

# --- prepare: twice, as on a second `up` ---
$confined sh /etc/openldap/prepare.sh
(cd /etc/radius-mfa; find secrets openldap postgresql /var/lib/radius-mfa -type f -printf 'made %p %m\n')
sha256sum /etc/radius-mfa/*/* /var/lib/radius-mfa/key >/run/before
$confined sh /etc/openldap/prepare.sh
sha256sum --check --quiet /run/before
$confined radius-mfa check

# --- openldap ---
$openldap sh /etc/openldap/start.sh 2>/run/openldap.log &

# --- postgresql: first what its image does by itself, for which its user has to have a name ---
export PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
echo 'someone:x:10001:10001::/nonexistent:/bin/false' >>/etc/passwd
$postgresql initdb -D "$PGDATA" -U "$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" \
    --auth-local=trust --auth-host=scram-sha-256 --no-sync >/dev/null
sed -i '$d' /etc/passwd
$postgresql sh -c "exec $POSTGRESQL -D $PGDATA --listen_addresses=127.0.0.1 \
    --unix_socket_directories=/run/postgresql --fsync=off" 2>/run/postgresql.log &
wait_for "$postgresql" "$POSTGRESQL_HEALTH"
$confined createdb -h /run/postgresql -U "$POSTGRES_USER" "$POSTGRES_USER"

# --- radius-mfa, portal ---
wait_for "$openldap" "$OPENLDAP_HEALTH"
$confined sh -c "exec $SERVER" 2>/run/server.log &
server=$!
wait_for "$confined" "$SERVER_HEALTH"
$confined sh -c "exec $PORTAL" 2>/run/portal.log &
wait_for "$confined" "$PORTAL_HEALTH"

# --- a newcomer ---
$confined radius-mfa user recovery-codes alice >/run/codes
set -- $(grep -x '....-....-....' /run/codes)
$confined radius-mfa login alice --password 'correct horse' --answer "$1"

# --- a gateway; radclient takes a challenge for a failure ---
secret=$(cat /etc/radius-mfa/secrets/vpn)
ask() { echo "User-Name = alice, Message-Authenticator = 0, $1" | radclient -x 127.0.0.1 auth "$secret"; }
state=$(ask 'User-Password = "correct horse"' | sed -n 's/.*State = //p') || true
ask "User-Password = $2, State = $state"

kill $server
wait $server
echo stopped
