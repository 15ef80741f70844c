"""What docs/systemd.md, and whatever takes a systemd, has done on a machine, and what is looked at in between."""

from __future__ import annotations

from tests.end_to_end.pages import Block, blocks

PAGE = "docs/systemd.md"
INSTALLS = "pip install --upgrade radius_mfa-….whl"  # what another test does
FOLLOWED: list[Block] = []  # by the story

YAML = """\
listen: [{udp: 127.0.0.1:1812}]
workers: 2
clients: [{name: here, address: 127.0.0.1, secret: "${VPN_SECRET}"}]
directory: {static: {users: [{username: alice, password: "${PASSWORD}"}]}}
factors: {totp: {issuer: Example}}
policies: [{name: here, when: {client: here}, second_factor: never}]
eap: {certificate: /etc/radius-mfa/eap.pem, key: /etc/radius-mfa/eap.pem}
metrics: {listen: 127.0.0.1:9100}
portal: {listen: 127.0.0.1:8080, url: "http://127.0.0.1:8080"}
log: {format: console}
"""


def commands(section: str, page: str = PAGE) -> str:
    """What a section has for the shell."""
    found = [each for each in blocks(page, "sh") if each.section == section]
    assert found, section
    FOLLOWED.extend(found)
    return "".join(each.text for each in found)


def settings(section: str) -> str:
    """What it has for the YAML."""
    return "".join(each.text for each in blocks(PAGE, "yaml") if each.section == section)


# Each part is under the line `== NAME`; what comes before `==` is what the page says to do.
STORY = f"""
trap 'echo "at $LINENO: $BASH_COMMAND"; tail -v -n 3 /run/log-*' ERR
{commands("Users and folders")}
cp "$GIVEN"/radius-mfa.yaml "$GIVEN"/environment "$GIVEN"/eap.pem /etc/radius-mfa/
chgrp radius-mfa /etc/radius-mfa/eap.pem
chmod 0640 /etc/radius-mfa/eap.pem
for unit in radius-mfa radius-mfa-portal; do
    mkdir -p /run/systemd/system/$unit.service.d
    cat > /run/systemd/system/$unit.service.d/test.conf <<END
[Service]
WatchdogSec=20
RestartSec=100ms
StandardError=append:/run/log-$unit
ExecStopPost=+/bin/sh -c 'echo %n \\$SERVICE_RESULT >> /run/results'
END
done
shown() {{ systemctl show -p ActiveState -p StatusText -p Result -p NRestarts "$@"; }}
{commands("The first start")}
echo == started
shown radius-mfa radius-mfa-portal
echo == rights
stat -c '%n %U %G %a' /etc/radius-mfa /etc/radius-mfa/key /var/lib/radius-mfa /var/lib/radius-mfa/state.db
for unit in radius-mfa radius-mfa-portal; do
    grep -E '^(CapBnd|CapEff|NoNewPrivs|Seccomp):' /proc/$(systemctl show -p MainPID --value $unit)/status
done
echo == login
radius-mfa login alice --password sesame | tail -n 3
radius-mfa login alice --password sesame --eap ttls-gtc --ca /etc/radius-mfa/eap.pem | grep -c Recv-Key
got() {{ /usr/bin/python3 -I -c 'import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1]).read().decode())' "$1"; }}
got http://127.0.0.1:8080/health
got http://127.0.0.1:9100/metrics | grep -E '^radius_mfa_(info|clock_synchronised)'
echo == rotated
touch -d '80 days ago' /var/log/radius-mfa/audit.jsonl-20250102.gz
touch -d '100 days ago' /var/log/radius-mfa/audit.jsonl-20250101.gz
logrotate -d /etc/logrotate.d/radius-mfa 2>&1 | grep -i error || true
logrotate -f -s /run/logrotate /etc/logrotate.d/radius-mfa
rm /var/log/radius-mfa/audit.jsonl-20250102.gz
stat -c '%n %U %G %a' /var/log/radius-mfa/audit.jsonl*
radius-mfa audit --user alice | grep -c accept
echo == alive
seen() {{ systemctl show -p WatchdogTimestampMonotonic --value $1; }}
for unit in radius-mfa radius-mfa-portal; do
    first=$(seen $unit)
    until [ $first != $(seen $unit) ]; do sleep 0.05; done
    echo $unit
done
echo == reloaded
until_status() {{ until systemctl show -p StatusText $1 | grep "$2"; do sleep 0.05; done; }}
sed -i 's/^policies: \\[/&{{name: first, when: {{client: here}}}}, /' /etc/radius-mfa/radius-mfa.yaml
systemctl reload radius-mfa
until_status radius-mfa 'policies 2'
echo 'slip: yes' >> /etc/radius-mfa/radius-mfa.yaml
systemctl reload radius-mfa
until_status radius-mfa 'refused'
sed -i /slip/d /etc/radius-mfa/radius-mfa.yaml
echo == backed_up
mkdir /run/systemd/system/radius-mfa-backup.service.d
cd /run/systemd/system/radius-mfa-backup.service.d
printf '[Service]\\nStandardError=append:/run/log-backup\\n' > test.conf
cd - > /dev/null
mount -t tmpfs none /var/backups
mount -t tmpfs none /media
{commands("Every night", "docs/backup.md")}
stat -c '%U %G %a' /var/backups/radius-mfa/*
systemctl show -p ActiveState -p Result radius-mfa-backup.timer radius-mfa-backup.service
echo == upgraded
export RADIUS_MFA_BACKUP_PASSPHRASE="$(cat /etc/radius-mfa/backup-passphrase)"
{commands("Upgrading", "docs/upgrading.md").replace(INSTALLS, "radius-mfa --version")}
echo == hidden
for unit in radius-mfa radius-mfa-portal; do
    nsenter -m -t $(systemctl show -p MainPID --value $unit) stat -c '%n %a %s' \
        /var/backups/radius-mfa /etc/radius-mfa/backup-passphrase
done
echo == restored
systemctl stop radius-mfa radius-mfa-portal
cp /var/backups/radius-mfa/before-the-upgrade /media/2026-11-28
rm /etc/radius-mfa/key /var/lib/radius-mfa/state.db*
{commands("Restoring", "docs/backup.md")}
stat -c '%n %U %G %a' /etc/radius-mfa/key /var/lib/radius-mfa/state.db
radius-mfa login alice --password sesame | tail -n 3
echo == alone
systemctl stop radius-mfa radius-mfa-portal
rm /var/log/radius-mfa/audit.jsonl*
sed -i s/WatchdogSec=20/WatchdogSec=8/ /run/systemd/system/radius-mfa-portal.service.d/test.conf
systemctl daemon-reload
systemctl start radius-mfa-portal
cd /var/lib/radius-mfa
stat -c '%n %U %G %a' state.db-wal /var/log/radius-mfa/audit.jsonl
cd - > /dev/null
echo == hung
: > /run/results
kill -STOP $(systemctl show -p MainPID --value radius-mfa-portal)
until systemctl show -p NRestarts -p ActiveState --value radius-mfa-portal | tr '\\n' ' ' | grep -q '[1-9] active'
do sleep 0.05; done
cat /run/results
echo == port
sed -i s/8080/80/g /etc/radius-mfa/radius-mfa.yaml
{commands("What the units may do")}
shown radius-mfa-portal
grep -E '^Cap(Bnd|Eff):' /proc/$(systemctl show -p MainPID --value radius-mfa-portal)/status
echo == stopped
systemctl stop radius-mfa radius-mfa-portal
shown radius-mfa radius-mfa-portal
tail -n 1 /run/log-radius-mfa
"""
