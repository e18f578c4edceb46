"""A DNS relay before a server: it records every message, and may tamper with it.

It listens where the world believes the server to be, and passes on from the client's own address, so
that the server's views and access lists see who really asks.
"""

import dataclasses
import socket
import socketserver
import struct
import threading

QUERY, NOTIFY, UPDATE = 0, 4, 5


@dataclasses.dataclass
class Message:
    """One message of a client, and the answer it got (None: none)."""

    proto: str  # "udp" or "tcp"
    client: str
    data: bytes
    reply: bytes = None

    @property
    def opcode(self):
        return (self.data[2] >> 3) & 15 if len(self.data) > 2 else None

    @property
    def rcode(self):
        return self.reply[3] & 15 if self.reply and len(self.reply) > 3 else None


class Tap:
    """
    `on_query(message)` may return other bytes to pass on, or None to drop it; `on_reply(message)` the same
    for what the client gets. Both are called from the relay's own threads.
    """

    def __init__(self, address, port, server_address, server_port, on_query=None, on_reply=None):
        self.address, self.port = address, port
        self.server = (server_address, server_port)
        self.on_query = on_query or (lambda m: m.data)
        self.on_reply = on_reply or (lambda m: m.reply)
        self._messages, self._lock = [], threading.Lock()
        self._udp = socketserver.ThreadingUDPServer((address, port), _handler(self._udp_message))
        self._udp.max_packet_size = 65535
        self._tcp = _TCPServer((address, port), _handler(self._tcp_connection))
        for server in (self._udp, self._tcp):
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        for server in (self._udp, self._tcp):
            server.shutdown()
            server.server_close()

    def messages(self, opcode=None):
        with self._lock:
            return [m for m in self._messages if opcode in (None, m.opcode)]

    def updates(self):
        """How many UPDATE messages clients have sent, counting repeated ones."""
        return len(self.messages(UPDATE))

    @property
    def log(self):
        return "\n".join(
            f"{m.proto} {m.client} opcode={m.opcode} {len(m.data)} bytes -> "
            + ("no answer" if m.reply is None else f"rcode={m.rcode} {len(m.reply)} bytes")
            for m in self.messages()
        )

    def _record(self, proto, client, data):
        m = Message(proto, client, data)
        with self._lock:
            self._messages.append(m)
        return m

    def _upstream(self, kind, client):
        s = socket.socket(socket.AF_INET6 if ":" in self.server[0] else socket.AF_INET, kind)
        s.settimeout(5)
        if s.family == socket.AF_INET and client.startswith("127."):
            s.bind((client, 0))
        s.connect(self.server)
        return s

    def _udp_message(self, request, client):
        data, back = request
        m = self._record("udp", client[0], data)
        out = self.on_query(m)
        if out is None:
            return
        with self._upstream(socket.SOCK_DGRAM, client[0]) as s:
            s.send(out)
            m.reply = s.recv(65535)
        answer = self.on_reply(m)
        if answer is not None:
            back.sendto(answer, client)

    def _tcp_connection(self, request, client):
        """A message at a time, as many as the client sends; a transfer's further messages follow the first."""
        request.settimeout(30)
        with self._upstream(socket.SOCK_STREAM, client[0]) as s:
            while (data := _read_framed(request)) is not None:
                m = self._record("tcp", client[0], data)
                out = self.on_query(m)
                if out is None:
                    continue
                s.sendall(struct.pack("!H", len(out)) + out)
                m.reply = _read_framed(s)
                answer = self.on_reply(m) if m.reply is not None else None
                if answer is None:
                    return
                request.sendall(struct.pack("!H", len(answer)) + answer)


class _TCPServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 64


def _handler(serve):
    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            try:
                serve(self.request, self.client_address)
            except OSError:
                pass  # a server that is down, a client that has gone: no answer, as without a relay

    return Handler


def _read_framed(s):
    head = _read_exactly(s, 2)
    return _read_exactly(s, struct.unpack("!H", head)[0]) if head else None


def _read_exactly(s, n):
    data = b""
    while len(data) < n:
        part = s.recv(n - len(data))
        if not part:
            return None
        data += part
    return data
