"""What a service reports to systemd (sd_notify(3)): a datagram to the socket that it names."""

from __future__ import annotations

import os
import socket
from contextlib import suppress


def notify(*fields: str) -> None:
    """Send fields such as ``READY=1``, one line each, see sd_notify(3); without a service manager nothing happens."""
    name = os.environ.get("NOTIFY_SOCKET", "")
    if not name.startswith(("/", "@")) or not hasattr(socket, "AF_UNIX"):
        return
    address = f"\0{name[1:]}" if name.startswith("@") else name
    text = "\n".join(field.partition("\n")[0] for field in fields)
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.settimeout(0)  # a manager that does not listen stops nothing
        sender.sendto(text.encode("utf-8", "backslashreplace"), address)
