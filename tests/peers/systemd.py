"""A real systemd on a `Machine`: process 1 of namespaces of its own, with our units and no others.

    said = booted(machine, "systemctl start radius-mfa", cwd=…)

It has a control group of its own, in which it is root; whatever it has started ends with it.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

from tests.peers.machine import Machine

ROOT = Path(__file__).parents[2]

# Where nobody's home is shown, as under our units, Python and this project are to be found even so.
INSTALL = f"""
set -eu
mkdir -p /opt/radius-mfa/bin /opt/radius-mfa/base /opt/radius-mfa/tree /opt/radius-mfa/packages
mount --bind {sys.base_prefix} /opt/radius-mfa/base
mount --bind {ROOT} /opt/radius-mfa/tree
mount --bind {sysconfig.get_path("purelib")} /opt/radius-mfa/packages
cat > /opt/radius-mfa/bin/radius-mfa <<'END'
#!/bin/sh
export PYTHONPATH=/opt/radius-mfa/tree:/opt/radius-mfa/packages PYTHONDONTWRITEBYTECODE=1
exec /opt/radius-mfa/base/bin/python{sys.version_info.major}.{sys.version_info.minor} -P -m radius_mfa "$@"
END
chmod 0755 /opt/radius-mfa /opt/radius-mfa/bin /opt/radius-mfa/bin/radius-mfa
"""

# Its own tree of control groups is a branch of the machine's, wherever that is.
_BOOT = """
rm /run/bin/systemctl
mount -t proc proc /proc
mkdir /run/cgroup /run/generators /run/units
mount -t cgroup2 cgroup2 /run/cgroup
GROUP=$(mktemp -d /run/cgroup/radius-mfa-XXXXXX)
for each in sysinit.target basic.target shutdown.target network-online.target time-sync.target multi-user.target
do
    printf '[Unit]\\nDefaultDependencies=no\\n' > /run/units/$each
done
cat > /run/units/commands.service <<END
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
TimeoutStartSec=900
WorkingDirectory=$PWD
Environment=PATH=$PATH HOME=/root LANG=C.UTF-8
ExecStart=/bin/bash -eu /run/commands
StandardOutput=file:/run/said
StandardError=inherit
ExecStopPost=/usr/bin/systemctl --force exit
END
rm -rf /etc/systemd/system
mkdir /etc/systemd/system
cat > /run/begin <<'END'
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
umount -l /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount --bind /dev/null /dev/console
exec env container=private SYSTEMD_UNIT_PATH=/etc/systemd/system:/run/systemd/system:/run/units \\
    SYSTEMD_GENERATOR_PATH=/run/generators SYSTEMD_ENVIRONMENT_GENERATOR_PATH=/run/generators \\
    /lib/systemd/systemd --system --unit=commands.service --log-target=null --show-status=no
END
bash -c "echo \\$\\$ > $GROUP/cgroup.procs
exec unshare --pid --mount --cgroup --uts --ipc --fork --kill-child bash -eu /run/begin" || true
find "$GROUP" -depth -type d -exec rmdir {} + || true
cat /run/said
grep -qx DONE /run/said
"""


def booted(machine: Machine, commands: str, cwd: Path) -> str:
    """Run them as root, to the first that fails, where systemd is process 1; what they have printed."""
    written = f"cat > /run/commands <<'END OF COMMANDS'\n{commands}\necho DONE\nEND OF COMMANDS\n"
    return machine.run(f"{INSTALL}{written}{_BOOT}", cwd)
