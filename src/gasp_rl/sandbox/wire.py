"""Messages between the caller and its workers, both trusted: marshal with a length before it."""

import _socket
import marshal
from typing import Any


def _framed(message: Any) -> bytes:
    data = marshal.dumps(message)
    return len(data).to_bytes(4, "little") + data


class Channel:
    """One end of a stream socket that carries whole messages."""

    def __init__(self, socket: Any) -> None:
        self.socket: _socket.socket = socket
        self._buffer = bytearray()
        self.unsent = bytearray()

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, message: Any) -> None:
        """Send a whole message, however long that takes."""
        self.socket.sendall(_framed(message))

    def post(self, message: Any) -> None:
        """Queue a message and send what the socket takes now; see `unsent` and `flush`."""
        self.unsent += _framed(message)
        self.flush()

    def flush(self) -> None:
        """Send as much of the queue as fits without waiting."""
        while self.unsent:
            try:
                sent = self.socket.send(self.unsent, _socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            del self.unsent[:sent]

    def receive(self) -> Any:
        """The next message; EOFError when the other end is closed."""
        while (message := self.next_buffered()) is None:
            self.fill()
        return message

    def fill(self) -> None:
        """Read once from the socket; EOFError when the other end is closed."""
        try:
            data = self.socket.recv(1 << 16)  # larger ones cost a mapping of memory each
        except ConnectionError as error:
            raise EOFError from error
        if not data:
            raise EOFError
        self._buffer += data

    def next_buffered(self) -> Any:
        """A message that has arrived in whole, or None."""
        buffer = self._buffer
        if len(buffer) < 4:
            return None
        end = 4 + int.from_bytes(buffer[:4], "little")
        if len(buffer) < end:
            return None
        message = marshal.loads(buffer[4:end])
        del buffer[:end]
        return message
