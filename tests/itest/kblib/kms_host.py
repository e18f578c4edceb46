"""A port that behaves like a KMS host, or like what else may stand there, up to the RPC bind."""

import socket
import struct
import threading
import uuid

KMS = uuid.UUID("51c82175-844e-4750-b0d8-ec255555bc06").bytes_le
NDR32 = uuid.UUID("8a885d04-1ceb-11c9-9fe8-08002b104860").bytes_le + struct.pack("<I", 2)
NOTHING = bytes(20)
ACCEPT, REJECT = 0, 2
NO_INTERFACE, NO_SYNTAX = 1, 2  # reasons of a rejection


class KmsHost:
    """`behaviour`: up, no-interface (an RPC server without KMS), nak (bind_nak), text (something else), mute."""

    def __init__(self, address, behaviour="up", port=0):
        self.name = f"kms host {address}"
        self.behaviour = behaviour
        self.binds = 0
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server((address, port), family=family)
        self.address, self.port = self._listener.getsockname()[:2]
        self._open = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def log(self):
        return f"{self.behaviour} on {self.address}:{self.port}, {self.binds} binds\n"

    def stop(self):
        if self._listener.fileno() < 0:
            return
        # shutdown wakes accept(), which close() alone does not
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)
        with self._lock:
            for conn in self._open:
                conn.close()

    def _accept(self):
        while True:
            try:
                conn, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._open.add(conn)
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn):
        try:
            if self.behaviour == "text":
                conn.sendall(b"220 mail.example ready\r\n")
            pdu = self._read_pdu(conn)
            if pdu and pdu[2] == 11:
                self.binds += 1
                answer = self._answer(pdu)
                if answer:
                    conn.sendall(answer)
            while conn.recv(4096):
                pass
        except OSError:
            pass
        finally:
            with self._lock:
                self._open.discard(conn)
            conn.close()

    @staticmethod
    def _read_pdu(conn):
        data = b""
        while len(data) < 10 or len(data) < struct.unpack_from("<H", data, 8)[0]:
            more = conn.recv(4096)
            if not more:
                return None
            data += more
        return data

    def _answer(self, bind):
        call_id = bind[12:16]
        if self.behaviour == "up":
            body = self._ack(bind)
            return self._header(12, call_id, body) + body
        if self.behaviour == "no-interface":
            body = self._ack(bind, known=False)
            return self._header(12, call_id, body) + body
        if self.behaviour == "nak":
            body = struct.pack("<HB", 1, 0)  # local congestion, no versions
            return self._header(13, call_id, body) + body
        return None

    @staticmethod
    def _header(kind, call_id, body):
        return struct.pack("<BBBBIHH", 5, 0, kind, 3, 0x10, 16 + len(body), 0) + call_id

    def _ack(self, bind, known=True):
        port = f"{self.port}\0".encode()
        body = struct.pack("<HHIH", 4280, 4280, 0x1234, len(port)) + port
        body += bytes(-(16 + len(body)) % 4)
        n = bind[24]
        body += struct.pack("<BBH", n, 0, 0)
        at = 28
        for _ in range(n):
            n_syntaxes, interface = bind[at + 2], bind[at + 4 : at + 20]
            syntaxes = [bind[at + 24 + 20 * i : at + 44 + 20 * i] for i in range(n_syntaxes)]
            if not known or interface != KMS:
                body += struct.pack("<HH", REJECT, NO_INTERFACE) + NOTHING
            elif NDR32 in syntaxes:
                body += struct.pack("<HH", ACCEPT, 0) + NDR32
            else:
                body += struct.pack("<HH", REJECT, NO_SYNTAX) + NOTHING
            at += 24 + 20 * n_syntaxes
        return body
