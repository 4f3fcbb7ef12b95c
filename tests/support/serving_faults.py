"""Servers that are none: they say these bytes to anybody, at this pace."""

import contextlib
import socket
import threading
from collections.abc import Iterable, Iterator


@contextlib.contextmanager
def one_that_says(*parts: bytes, then: Iterable[bytes] = (), pause: float = 0) -> Iterator[str]:
    """The host and port of a server that answers any request with these bytes, and ends.

    Args:
        parts: Said to each connection once it has sent something; with none, nothing is ever said.
        then: Said after it, and may have no end.
        pause: Seconds before each part of `then`.
    """
    over = threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            if not parts:
                over.wait()
                return
            connection.recv(1 << 20)
            connection.sendall(b"".join(parts))
            for part in then:
                if over.is_set():
                    return
                if pause:
                    over.wait(pause)
                connection.sendall(part)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 20):  # unread, it would reset the connection
                pass

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                threads.append(threading.Thread(target=answer, args=[connection], daemon=True))
                threads[-1].start()

    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepting = threading.Thread(target=serve)
        accepting.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            over.set()
            server.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for thread in threads:
                thread.join(5)


def http_answer(status: str, body: bytes, *headers: str) -> bytes:
    """An answer of HTTP with these headers."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body
