"""A name server by script: it serves one zone, checks and makes TSIG by dnspython, and answers as the test says."""

import socket
import threading

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.zone


class FakeDns:
    """
    UDP only. `on_update(query, reply)` gets each UPDATE with a prepared signed NOERROR reply and returns
    what to send: a message, bytes, or None for silence. Queries are answered from `text`, a zone file;
    `on_query(query, reply)` may change that answer in the same way.
    """

    def __init__(self, address, port, zone, text, key=None, on_update=None, on_query=None):
        self.name = f"fake name server {address}"
        self.address, self.port = address, port
        self.origin = dns.name.from_text(zone)
        self.zone = dns.zone.from_text(text, origin=self.origin, relativize=False)
        self.keyring = key.keyring if key else None
        self.on_update = on_update or (lambda query, reply: reply)
        self.on_query = on_query or (lambda query, reply: reply)
        self.updates, self.queries = [], []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, port))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._stopping = False
        self._thread.start()

    @property
    def log(self):
        return "\n".join(str(m) for m in [*self.queries, *self.updates])

    def stop(self):
        self._stopping = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b"", (self.address, self.port))  # wakes recvfrom()
        self._thread.join(5)
        self._socket.close()

    def _serve(self):
        while not self._stopping:
            data, peer = self._socket.recvfrom(65535)
            if len(data) < 12:
                continue
            answer = self._answer(data)
            if isinstance(answer, dns.message.Message):
                answer = answer.to_wire()
            if answer is not None:
                self._socket.sendto(answer, peer)

    def _answer(self, data):
        query = dns.message.from_wire(data, keyring=self.keyring)
        reply = dns.message.make_response(query)
        if query.opcode() == dns.opcode.UPDATE:
            self.updates.append(query)
            return self.on_update(query, reply)
        self.queries.append(query)
        self._look_up(query.question[0], reply)
        return self.on_query(query, reply)

    def _look_up(self, question, reply):
        reply.flags |= dns.flags.AA
        node = self.zone.get_node(question.name)
        if not question.name.is_subdomain(self.origin):
            reply.set_rcode(dns.rcode.REFUSED)
            return
        found = self.zone.get_rrset(question.name, question.rdtype) if node else None
        if found is not None:
            reply.answer.append(found)
            return
        below = any(n.is_subdomain(question.name) for n in self.zone.nodes)
        if not below:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        reply.authority.append(self.zone.get_rrset(self.origin, dns.rdatatype.SOA))


def unsigned(reply, rcode=None):
    """The reply without its signature, with that RCODE."""
    reply.tsig = None
    if rcode is not None:
        reply.set_rcode(rcode)
    return reply
