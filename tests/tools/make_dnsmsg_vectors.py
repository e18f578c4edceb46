#!/usr/bin/python3
"""Write tests/data/dnsmsg_vectors.h: DNS messages as dnspython encodes and reads them.

    tests/tools/make_dnsmsg_vectors.py > tests/data/dnsmsg_vectors.h

`build` rows are what dnsmsg_build_*() must make of the input that test_dnsmsg.c gives it, octet by
octet. `parse` rows are messages and what they say, in the text form of dump() in test_dnsmsg.c.
"""

import io
import random
import struct

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rdata
import dns.rdatatype
import dns.rrset
import dns.update

import vectors

ID = 0x2A17
IN, NONE, ANY = 1, 254, 255
OWNER = "_vlmcs._tcp.corp.example."


class Writer:
    """A message put together record by record: names of owners compressed, RDATA never."""

    def __init__(self, flags, counts):
        self.out = io.BytesIO()
        self.compress = {}
        self.out.write(struct.pack("!HHHHHH", ID, flags, *counts))

    def name(self, text):
        dns.name.from_text(text).to_wire(self.out, self.compress)
        return self

    def question(self, name, rdtype):
        self.name(name).out.write(struct.pack("!HH", rdtype, IN))
        return self

    def record(self, owner, rdclass, ttl, rdtype, rdata):
        self.name(owner).out.write(struct.pack("!HHIH", rdtype, rdclass, ttl, len(rdata)) + rdata)
        return self

    def srv(self, rdclass, ttl, text, owner=OWNER):
        return self.record(owner, rdclass, ttl, 33, dns.rdata.from_text("IN", "SRV", text).to_wire())

    def bytes(self):
        return self.out.getvalue()


def builds():
    update = 5 << 11
    yield "query", Writer(0x0000, (1, 0, 0, 0)).question(OWNER, 33).bytes()
    yield "query-rd-edns", (Writer(0x0100, (1, 0, 0, 1)).question("kms1.corp.example.", 28)
                            .record(".", 1232, 0, 41, b"").bytes())
    yield "query-root", Writer(0x0100, (1, 0, 0, 0)).question(".", 2).bytes()
    yield "update-add", (Writer(update, (1, 0, 1, 0)).question("corp.example.", 6)
                         .srv(IN, 3600, "0 10 1688 kms1.corp.example.").bytes())
    yield "update-replace", (Writer(update, (1, 0, 2, 0)).question("corp.example.", 6)
                             .srv(NONE, 0, "0 10 1688 kms1.corp.example.")
                             .srv(IN, 3600, "10 10 1688 kms1.corp.example.").bytes())
    yield "update-add-first", (Writer(update, (1, 0, 2, 0)).question("corp.example.", 6)
                               .srv(IN, 3600, "10 10 1688 kms1.corp.example.")
                               .srv(NONE, 0, "0 10 1688 kms1.corp.example.").bytes())
    yield "update-prereq", (Writer(update, (1, 2, 1, 0)).question("corp.example.", 6)
                            .srv(IN, 0, "0 10 1688 kms1.corp.example.")
                            .srv(IN, 0, "65535 65535 65535 kms2.other.test.")
                            .srv(NONE, 0, "0 10 1688 kms1.corp.example.").bytes())
    yield "update-apex", (Writer(update, (1, 0, 1, 0)).question(OWNER, 6)
                          .srv(IN, 300, "0 0 1688 .").bytes())


def name_text(name):
    return name.to_text(omit_final_dot=True).lower()


def data_text(rd):
    t = rd.rdtype
    if rd.rdclass not in (IN, NONE):
        return "-"
    if t in (1, 28):
        return rd.address
    if t in (2, 5, 39):
        return name_text(rd.target)
    if t == 33:
        return f"{rd.priority} {rd.weight} {rd.port} {name_text(rd.target)}"
    if t == 6:
        return (f"{name_text(rd.mname)} {rd.serial} {rd.refresh} {rd.retry} {rd.expire} "
                f"{rd.minimum}")
    if t == 46:
        return f"labels={rd.labels}"
    return "-"


def dump(m):
    flags = " ".join(f for f in ("QR", "AA", "TC", "RD", "RA") if m.flags & dns.flags.from_text(f))
    if m.edns >= 0:
        flags += " EDNS"
    lines = [f"{m.id} op={int(m.opcode())} rcode={int(m.rcode())} {flags}".rstrip()]
    for q in m.sections[0]:
        lines.append(f"? {name_text(q.name)} {dns.rdatatype.to_text(q.rdtype)} {q.rdclass}")
    for i, section in enumerate(m.sections[1:]):
        for rrset in section:
            rdclass = rrset.deleting or rrset.rdclass
            head = f"{i} {name_text(rrset.name)} {rrset.ttl} {int(rdclass)} " + \
                dns.rdatatype.to_text(rrset.rdtype)
            if len(rrset) == 0:
                lines.append(f"{head} -")
            for rd in rrset:
                lines.append(f"{head} {data_text(rd)}")
    return "\n".join(lines) + "\n"


def response(qname, qtype, *sections, flags="QR AA RD RA", rcode=0, edns=None, question=True):
    m = dns.message.make_query(qname, qtype, id=ID)
    if not question:
        m.question = []
    m.flags = dns.flags.from_text(flags)
    m.set_rcode(rcode)
    if edns is not None:
        m.use_edns(0, payload=edns)
        m.set_rcode(rcode)
    for section, texts in zip((m.answer, m.authority, m.additional), sections):
        for text in texts:
            owner, ttl, rdclass, rdtype, data = text.split(" ", 4)
            section.append(dns.rrset.from_text(owner, int(ttl), rdclass, rdtype,
                                               *data.split(" | ")))
    return m


def parses():
    soa = "corp.example. 3600 IN SOA ns1.Corp.example. hm.corp.example. 4294967295 900 600 86400 60"
    yield "srv", response(
        OWNER, "SRV",
        ["_VLMCS._tcp.CORP.example. 3600 IN SRV "
         "0 10 1688 KMS1.corp.example. | 65535 0 65535 kms2.corp.example. | 0 0 0 ."],
        ["corp.example. 86400 IN NS ns1.corp.example. | ns.other.test."],
        ["KMS1.corp.example. 60 IN A 192.0.2.1 | 192.0.2.2",
         "kms1.corp.example. 60 IN AAAA 2001:db8::1"],
        edns=1232)
    yield "nxdomain", response("_vlmcs._tcp.x.corp.example.", "SRV", [], [soa], rcode=3)
    yield "soa", response("corp.example.", "SOA", [soa])
    yield "referral", response("a.b.corp.example.", "SOA", [],
                               ["b.corp.example. 300 IN NS ns.b.corp.example."],
                               ["ns.b.corp.example. 300 IN A 192.0.2.53"], flags="QR RD")
    yield "aliases", response("a.corp.example.", "A",
                              ["corp.example. 60 IN DNAME Corp.test.",
                               "a.corp.example. 60 IN CNAME a.corp.test.",
                               "a.corp.test. 60 IN A 127.0.0.1"])
    yield "wildcard", response(
        OWNER, "SRV",
        [OWNER + " 300 IN SRV 0 0 1688 kms1.corp.example.",
         OWNER + " 300 IN RRSIG SRV 8 3 300 20300101000000 20200101000000 1 corp.example. AQID"])
    yield "root", response(".", "NS", [". 518400 IN NS a.root-servers.net."])
    yield "types-we-do-not-read", response(
        "corp.example.", "ANY",
        ['corp.example. 60 IN TXT "v=spf1 -all" "x"', "corp.example. 60 IN MX 10 mx.corp.example.",
         "corp.example. 60 IN TYPE65280 \\# 3 010203", "corp.example. 60 IN TYPE65281 \\# 0",
         "corp.example. 60 IN HTTPS 1 . alpn=h2",
         "corp.example. 60 IN NSEC a.corp.example. A SRV RRSIG"])
    yield "class-ch", response("version.bind.", "TXT", ['version.bind. 0 CH TXT "9.18"'])
    yield "update-reply", response(OWNER, "SRV", flags="QR", question=False, rcode=5)
    yield "servfail-bare", response(OWNER, "SRV", flags="QR", question=False, rcode=2)
    yield "badvers", response(OWNER, "SRV", flags="QR", rcode=16, edns=512)
    yield "truncated", response(OWNER, "SRV", flags="QR TC RD RA")
    yield "escapes", response("a\\.b\\\\c\\032\\255\\;.corp.example.", "A",
                              ["a\\.b\\\\c\\032\\255\\;.corp.example. 1 IN A 192.0.2.9"])
    yield "forty", response(OWNER, "SRV", [OWNER + " 60 IN SRV " + " | ".join(
        f"{i} {i} 1688 kms{i}.site{i % 7}.corp.example." for i in range(40))])
    yield "query", dns.message.make_query(OWNER, "SRV", id=ID, use_edns=0, payload=1232)
    notify = response("corp.example.", "SOA", [soa], flags="AA")
    notify.set_opcode(dns.opcode.NOTIFY)
    yield "notify", notify


def update_message():
    """RRs of class ANY and NONE without RDATA, as a reply may repeat them (failure-modes L06)."""
    u = dns.update.UpdateMessage("corp.example.", id=ID)
    u.present("_vlmcs._tcp")
    u.absent("x")
    u.present("_vlmcs._tcp", "SRV")
    u.absent("y", "SRV")
    u.present("_vlmcs._tcp", "SRV", "0 10 1688 kms1.corp.example.")
    u.delete("_vlmcs._tcp", "SRV")
    u.delete("_vlmcs._tcp")
    u.delete("_vlmcs._tcp", "SRV", "0 10 1688 kms1.corp.example.")
    u.add("_vlmcs._tcp", 60, "SRV", "0 20 1688 kms1.corp.example.")
    u.flags |= dns.flags.QR
    return u


def main():
    random.seed(1)  # dnspython shuffles the records of a set
    out = ["static const struct dnsmsg_build_vector {\n\tconst char *label, *wire;\n"
           "} dnsmsg_build_vectors[] = {\n"]
    for label, wire in builds():
        dns.message.from_wire(wire)  # which refuses what is not well-formed
        out.append(f'\t{{ "{label}",\n{vectors.c_string(wire)} }},\n')
    out.append("};\n\nstatic const struct dnsmsg_parse_vector {\n"
               "\tconst char *label, *wire, *dump;\n} dnsmsg_parse_vectors[] = {\n")
    rows = list(parses()) + [("update-forms", update_message())]
    for label, message in rows:
        wire = message.to_wire(max_size=65535)
        said = dump(dns.message.from_wire(wire, one_rr_per_rrset=True))
        out.append(f'\t{{ "{label}",\n{vectors.c_string(wire)},\n{vectors.c_text(said)} }},\n')
    out.append("};\n")
    print(vectors.header("make_dnsmsg_vectors.py", "DNS messages as dnspython does them.",
                         "".join(out)), end="")


if __name__ == "__main__":
    main()
