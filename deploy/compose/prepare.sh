#!/bin/sh
# What is secret: made once, left alone ever after.  Each file is there whole or not at all.
set -eu
umask 0077
cd /etc/radius-mfa/secrets

for each in vpn database directory; do
    [ -e "$each" ] || { head -c 24 /dev/urandom | base64 >"$each.new" && mv "$each.new" "$each"; }
done

# An authority that signs this one certificate; its own key is not kept.  Browsers take no ed25519.
key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
if [ ! -e server.key ]; then
    openssl req -x509 -days 3650 $key -keyout ca.key -out ca.pem -subj "/CN=Trial authority" \
        -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
    openssl req -x509 -days 3650 $key -CA ca.pem -CAkey ca.key -keyout server.new -out server.pem \
        -subj "/CN=localhost" -addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=serverAuth \
        -addext subjectAltName=DNS:localhost,DNS:openldap,DNS:postgresql 2>/dev/null
    rm ca.key
    mv server.new server.key
fi

[ -e /var/lib/radius-mfa/key ] || radius-mfa keys init
