"""A name server (DNS) of the test's own, so that one name can have several servers behind it.

Clients ask it by ``dns://<its address>/<name>:<port>``. Servers share a port on addresses of the
loopback network, such as 127.0.0.1 and 127.0.0.2, as the pods of a headless Service do.
"""

from __future__ import annotations

import socket
import struct
import threading
from types import TracebackType
from typing import Final

ADDRESS: Final = 1
"""The type of a question for IPv4 addresses; others are answered by none (RFC 1035)."""

ANSWERED: Final = 0x8580
"""A response, authoritative, to a recursive question, without an error."""


class NameServer:
    """Answers questions for ``name`` while it is entered."""

    def __init__(self, name: str, *addresses: str) -> None:
        self.name = name
        self.addresses = addresses
        """Of the servers; to change it is to add or remove pods."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def address(self) -> str:
        """Where it answers."""
        host, port = self._socket.getsockname()
        return f"{host}:{port}"

    def target(self, port: int) -> str:
        """What a client is told in order to call the servers by name."""
        return f"dns://{self.address}/{self.name}:{port}"

    def __enter__(self) -> NameServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.sendto(b"", self._socket.getsockname())  # an empty packet ends it
        self._thread.join(timeout=10)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            packet, sender = self._socket.recvfrom(4096)
            if not packet:
                return
            self._socket.sendto(self._answer(packet), sender)

    def _answer(self, packet: bytes) -> bytes:
        """RFC 1035, 4.1: the header, the question as it was, an answer for each address."""
        (number,) = struct.unpack("!H", packet[:2])
        end = packet.index(b"\0", 12) + 5
        question = packet[12:end]
        asked = b"".join(bytes([len(part)]) + part.encode() for part in self.name.split("."))
        (kind,) = struct.unpack("!H", question[-4:-2])
        is_known = question[:-5].lower() == asked and kind == ADDRESS
        found = self.addresses if is_known else ()
        answers = (
            struct.pack("!HHHIH", 0xC00C, ADDRESS, 1, 0, 4) + socket.inet_aton(each)
            for each in found
        )
        header = struct.pack("!6H", number, ANSWERED, 1, len(found), 0, 0)
        return header + question + b"".join(answers)
