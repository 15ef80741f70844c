#!/bin/sh
# What is secret: made once, left alone ever after.  Each file is there whole or not at all.  Of three volumes each is for
# one of those who have secrets, and none of them sees the others'; a password that two know is in both of theirs.
set -eu
umask 0077
ours=/etc/radius-mfa/secrets directory=/etc/radius-mfa/openldap database=/etc/radius-mfa/postgresql

password() {
    [ -e "$ours/$1" ] || { head -c 24 /dev/urandom | base64 >"$ours/$1.new" && mv "$ours/$1.new" "$ours/$1"; }
}
give() { [ -e "$2" ] || { cp "$1" "$2.new" && mv "$2.new" "$2"; }; }
for each in vpn directory database; do password "$each"; done
give "$ours/directory" "$directory/directory"
give "$ours/database" "$database/database"

# An authority that signs these certificates and no other; its own key is not kept.  Browsers take no ed25519.
key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
certify() {
    openssl req -x509 -days 3650 $key -CA "$ours/ca.pem" -CAkey "$ours/ca.key" -keyout "$1/server.key" -out "$1/server.pem" \
        -subj "/CN=$2" -addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=serverAuth \
        -addext "subjectAltName=DNS:$2" 2>/dev/null
    [ "$1" = "$ours" ] || cp "$ours/ca.pem" "$1/ca.pem"
}
if [ ! -e "$ours/certified" ]; then
    openssl req -x509 -days 3650 $key -keyout "$ours/ca.key" -out "$ours/ca.pem" -subj "/CN=Trial authority" \
        -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
    certify "$ours" localhost
    certify "$directory" openldap
    certify "$database" postgresql
    rm "$ours/ca.key"
    touch "$ours/certified"
fi

[ -e /var/lib/radius-mfa/key ] || radius-mfa keys init
