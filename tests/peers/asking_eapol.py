"""A stand-in for eapol_test that asks more than once, which no other server's EAP-GTC does.

    python tests/peers/asking_eapol.py -W -c FILE …

It speaks wpa_supplicant's control interface, tells what stands in $TOLD, an event a line, waits for a reply to
those that ask something, writes the commands it got to the file $HEARD, prints $PRINTED and ends well.
"""

from __future__ import annotations

import os
import re
import socket
import stat
import sys
from pathlib import Path


def main() -> None:
    configuration = Path(sys.argv[sys.argv.index("-c") + 1])
    assert [stat.S_IMODE(each.stat().st_mode) for each in (configuration, configuration.parent)] == [0o600, 0o700]
    found = re.search("^ctrl_interface=(.*)$", configuration.read_text(), re.MULTILINE)
    assert found is not None
    folder = Path(found[1])
    folder.mkdir(0o700)
    heard = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as control:
        control.bind(str(folder / "test"))
        command, monitor = control.recvfrom(4096)
        control.sendto(b"OK\n", monitor)
        heard.append(command)
        for event in os.environ["TOLD"].splitlines():
            control.sendto(f"<3>{event}".encode(), monitor)
            if event.startswith("CTRL-REQ-"):
                heard.append(control.recv(4096))
                control.sendto(b"OK\n", monitor)
    (folder / "test").unlink()
    folder.rmdir()
    Path(os.environ["HEARD"]).write_bytes(b"\n".join(heard))
    print(os.environ["PRINTED"])


if __name__ == "__main__":
    main()
