"""A TCP relay that keeps what passes, and writes it as a capture file: no raw sockets, no privileges."""

import ipaddress
import socket
import struct
import threading

SYN, FIN, PSH, ACK = 2, 1, 8, 16
LINKTYPE_RAW = 101  # packets begin with their IP header


class Capture:
    """A relay before `where`; connect to .where instead. pcap(path) writes every connection so far."""

    def __init__(self, where, address):
        self.name = f"capture before {where[0]}"
        self.log = ""
        self._upstream = where
        self._sessions = []
        self._listener = socket.create_server((address, 0))
        self.where = self._listener.getsockname()[:2]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def stop(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _accept(self):
        while True:
            try:
                client, peer = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._upstream, timeout=10)
            chunks, lock = [], threading.Lock()
            threads = [
                threading.Thread(target=self._pass, args=(*ends, chunks, lock), daemon=True)
                for ends in ((client, server, True), (server, client, False))
            ]
            self._sessions.append((peer, chunks, threads))
            for t in threads:
                t.start()

    @staticmethod
    def _pass(source, sink, from_client, chunks, lock):
        try:
            while data := source.recv(65536):
                with lock:
                    chunks.append((from_client, data))
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def pcap(self, path):
        """Waits for the connections to end."""
        packets = []
        for peer, chunks, threads in self._sessions:
            for t in threads:
                t.join(10)
            packets += session(peer, self.where, chunks)
        with open(path, "wb") as f:
            f.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, LINKTYPE_RAW))
            for i, p in enumerate(packets):
                f.write(struct.pack("<IIII", i // 1000, i % 1000 * 1000, len(p), len(p)) + p)


def session(client, server, chunks):
    """IP packets of one connection, from the handshake to the end."""
    at = {True: 1000, False: 5000}

    def packet(from_client, flags, data=b""):
        source, target = (client, server) if from_client else (server, client)
        p = _packet(source, target, at[from_client], at[not from_client] if flags & ACK else 0, flags, data)
        at[from_client] += len(data) + (1 if flags & (SYN | FIN) else 0)
        return p

    yield packet(True, SYN)
    yield packet(False, SYN | ACK)
    yield packet(True, ACK)
    for from_client, data in chunks:
        for i in range(0, len(data), 1400):
            yield packet(from_client, PSH | ACK, data[i : i + 1400])
            yield packet(not from_client, ACK)
    yield packet(True, FIN | ACK)
    yield packet(False, FIN | ACK)
    yield packet(True, ACK)


def _checksum(data):
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def _packet(source, target, seq, ack, flags, data):
    ends = ipaddress.ip_address(source[0]).packed + ipaddress.ip_address(target[0]).packed
    tcp = struct.pack("!HHIIBBHHH", source[1], target[1], seq, ack, 5 << 4, flags, 65535, 0, 0) + data
    pseudo = ends + struct.pack("!BBH", 0, 6, len(tcp))
    tcp = tcp[:16] + struct.pack("!H", _checksum(pseudo + tcp)) + tcp[18:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 1, 0, 64, 6, 0) + ends
    return ip[:10] + struct.pack("!H", _checksum(ip)) + ip[12:] + tcp
