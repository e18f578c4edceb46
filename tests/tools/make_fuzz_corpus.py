#!/usr/bin/python3
"""Write the first inputs of the DNS fuzz targets from the test vectors, and those of others that have a form.

    tests/tools/make_fuzz_corpus.py tests/fuzz/corpus

Inputs that the fuzzer found and that are kept have other names; they stay.
"""

import pathlib
import random
import struct
import sys

import dns.flags
import dns.message
import dns.opcode
import dns.rrset

import make_dnsmsg_vectors
import make_tsig_vectors

KEY_FILES = {
    "plain": b'key "kms" {\n\talgorithm hmac-sha256;\n\tsecret "YWJjZGVmZ2g=";\n};\n',
    "comments": b'# a\n// b\n/* c\n */ key kms // d\n{ secret YWJjZA==; algorithm "HMAC-SHA1."; };',
    "crlf": b'key kms.corp.example. {\r\nalgorithm hmac-md5;\r\nsecret "YQ==";\r\n};\r\n',
    "truncated": b"key kms { algorithm hmac-sha512-256; secret YQ==; };",
    "two": b"key a { algorithm hmac-sha384; secret YQ==; }; key b { secret YQ==; algorithm "
           b"hmac-sha224; };",
    "escapes": b'\xef\xbb\xbfkey "a\\.b\\"c" { algorithm hmac-sha512; secret "Y W J j"; };',
    "not-a-key": b"options { directory \"/var\"; };",
    "bad-base64": b"key a { algorithm hmac-sha256; secret \"YR==\"; };",
}


def rpc_pdu(ptype, flags, call_id, body, big=False):
    """A connection-oriented PDU of RPC 5.0, C706 12.6."""
    order = ">" if big else "<"
    return struct.pack(order + "BBBB4sHHI", 5, 0, ptype, flags,
                       bytes([0 if big else 0x10, 0, 0, 0]), 16 + len(body), 0, call_id) + body


def rpc_client_inputs():
    """What a server says; before it a step, and what the target offers (see the target)."""
    nothing = bytes(8)
    stub = bytes(range(60))

    def response(call_id, flags, part, big=False):
        return rpc_pdu(2, flags, call_id, nothing + part, big)

    one_by_one = b"".join(response(i, 3, stub) for i in range(2, 8))
    mixed = b"".join(response(i, flags, stub[at:at + 20], i == 3)
                     for at, flags in ((0, 1), (20, 0), (40, 2)) for i in (4, 2, 3))
    fault = rpc_pdu(3, 3, 2, struct.pack("<IHHII", 32, 0, 0, 0x1C010014, 0))
    nak = rpc_pdu(13, 3, 1, struct.pack("<HBBB", 1, 1, 5, 0))
    reject = rpc_pdu(12, 3, 1, struct.pack("<HHIH2sB3sHH20s", 5840, 5840, 7, 0, b"", 1, b"",
                                           2, 1, b""))
    mpx = bytes([4, 0x1 | 0x2 | 0x8 | 0x20])
    dropping = bytes([0, 0x1 | 0x4 | 0x8 | 0x10])
    plain = bytes([30, 0x8])
    return {
        "one-by-one": plain + one_by_one,
        "mixed": mpx + mixed,
        "dropped": dropping + mixed + one_by_one,
        "fault-and-on": plain + fault + response(3, 3, stub),
        "twice": mpx + response(2, 3, stub) * 2,
        "not-asked": plain + response(99, 3, stub),
        "no-first": plain + response(2, 2, stub),
        "long": plain + b"".join(response(2, i == 0, bytes(3000)) for i in range(6)),
        "shutdown": mpx + rpc_pdu(17, 3, 0, b""),
        "nak": bytes([0, 0]) + nak,
        "reject": bytes([0, 0]) + reject,
        "http": bytes([0, 3]) + b"HTTP/1.0 400 Bad Request\r\n\r\n",
    }


def plan_inputs():
    """Two octets of settings, one of what is ours, three of what is wanted; then the primary's answer."""
    owner = "_vlmcs._tcp.corp.example."

    def answer(*records, authority=None, rcode=0):
        query = dns.message.make_query(owner, "SRV", id=7)
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.AA
        reply.set_rcode(rcode)
        for name, kind, *data in records:
            reply.answer.append(dns.rrset.from_text_list(name, 3600, "IN", kind, data))
        if authority:
            reply.authority.append(dns.rrset.from_text(*authority))
        return reply.to_wire()

    one = answer((owner, "SRV", "0 0 1688 kms1.corp.example."))
    several = answer((owner, "SRV", "0 0 1688 kms1.corp.example.", "1 1 1688 kms2.corp.example.",
                      "0 0 1688 other.corp.example.", "0 3 1688 kms3.corp.example."))
    none = answer(authority=("corp.example.", 300, "IN", "SOA", "ns. admin. 1 2 3 4 60"))
    return {
        "publish-none": bytes([0, 3, 0, 0, 0, 0]) + none,
        "publish-one": bytes([0, 3, 2, 0, 0, 0]) + one,
        "publish-several": bytes([4, 3, 0xA2, 0, 3, 0]) + several,
        "publish-gated": bytes([9, 3, 2, 0, 3, 0]) + several,
        "publish-bad-held": bytes([0, 3, 2, 0x10, 0x20, 0]) + several,
        "publish-ttl-limit": bytes([2, 1, 2, 0, 0, 0]) + one,
        "withdraw": bytes([16, 0xA3, 2, 0x10, 0x10, 0]) + several,
        "withdraw-adopted": bytes([16 + 64, 0xA3, 4, 0x20, 0x20, 0]) + several,
        "drain": bytes([16 + 32 + 128, 0xE3, 2, 0x10, 0x10, 0]) + several,
        "dot": bytes([0, 3, 0, 0, 0, 0]) + answer((owner, "SRV", "0 0 0 .")),
        "alias": bytes([0, 3, 0, 0, 0, 0]) + answer((owner, "CNAME", "a.corp.example.")),
    }


def notify_inputs():
    plain = dns.message.make_query("corp.example.", "SOA", id=7)
    plain.set_opcode(dns.opcode.NOTIFY)
    plain.flags |= dns.flags.AA
    with_soa = dns.message.from_wire(plain.to_wire())
    with_soa.answer.append(dns.rrset.from_text("corp.example.", 0, "IN", "SOA", "ns. admin. 7 2 3 4 60"))
    reply = dns.message.make_response(plain)
    return {"plain": plain.to_wire(), "with-soa": with_soa.to_wire(), "reply": reply.to_wire(),
            "query": dns.message.make_query("corp.example.", "SOA", id=7).to_wire()}


PEER_SOA = ("d0.test.", 300, "IN", "SOA", "ns.invalid. admin.d0.test. 7 2 3 4 60")
RIGHT, ANSWER, WITH_ID, AS_IT_IS, SILENCE, CHANGED, MORE, CLOSE, CANCEL = 0, 1, 2, 3, 4, 5, 8, 16, 32


def peer_item(what, body=b""):
    return struct.pack(">BH", what, len(body)) + body


def peer_answer(name, kind, *records, soa=False, rcode=0, flags=dns.flags.AA | dns.flags.RA, what=ANSWER):
    """What the server of dns_peer answers to a question that it expects (see the target)."""
    reply = dns.message.make_response(dns.message.make_query(name, kind))
    reply.flags |= flags
    reply.set_rcode(rcode)
    for owner, rtype, *data in records:
        reply.answer.append(dns.rrset.from_text_list(owner, 300, "IN", rtype, data))
    if soa:
        reply.authority.append(dns.rrset.from_text(*PEER_SOA))
    wire = reply.to_wire()
    return peer_item(what, wire[2:4] + wire[7:12:2] + wire[16 + len(dns.name.from_text(name).to_wire()):])


def peer_inputs():
    """The number of an operation of dns_peer, and what it is answered, one request after the other."""
    srv, host = "_vlmcs._tcp.d0.test.", "kms1.d0.test."
    alias = peer_answer(srv, "SRV", (srv, "CNAME", "_vlmcs._tcp.d1.test."))
    many = peer_answer(srv, "SRV", (srv, "SRV", *(f"{i} 0 1688 kms{i}.d0.test." for i in range(20))))
    none = peer_answer(srv, "SRV", soa=True, rcode=3)
    truncated = peer_answer(srv, "SRV", flags=dns.flags.AA | dns.flags.TC)
    wrong = peer_item(WITH_ID, b"\0\0") + peer_item(AS_IT_IS | MORE, b"") + peer_item(AS_IT_IS, bytes(40))
    right, silence = peer_item(RIGHT), peer_item(SILENCE)
    refused = peer_item(CHANGED, bytes([0, 3, 5]))
    inputs = {"host-alias": bytes([0]) + peer_answer(host, "AAAA", (host, "CNAME", "a.d0.test.")) +
              peer_answer(host, "A", (host, "CNAME", "kms2.d0.test."), ("kms2.d0.test.", "A", "127.0.0.9"))}
    for number, op in enumerate(("host", "ad", "lookup", "discover", "publish", "publish-at")):
        first = bytes([number])
        inputs[op] = first
        inputs[op + "-refused"] = first + refused
        inputs[op + "-silent"] = first + silence
        inputs[op + "-wrong"] = first + right + wrong
        inputs[op + "-tcp"] = first + right * (number - 1) + truncated + right + peer_item(SILENCE | CLOSE) + right
        inputs[op + "-later"] = first + right * number + silence + peer_item(CHANGED, bytes([0, 3, 2])) + none
        inputs[op + "-canceled"] = first + right * number + peer_item(CANCEL)
    for number, op in ((2, "lookup"), (3, "discover"), (4, "publish")):
        inputs[op + "-alias"] = bytes([number]) + alias
        inputs[op + "-many"] = bytes([number]) + many
        inputs[op + "-none"] = bytes([number]) + none
    for settings, label in ((1, "merged"), (2, "manual"), (3, "manual-merged")):
        inputs["discover-" + label] = bytes([3 + 6 * settings])
        inputs[f"discover-{label}-refused"] = bytes([3 + 6 * settings]) + refused + right + refused
    update_at = 8
    inputs["publish-update-refused"] = bytes([5]) + right * update_at + refused
    inputs["publish-update-lost"] = bytes([5]) + right * update_at + silence
    return inputs


def lab_host_inputs():
    """The rules of a lab host, then requests: kind and hours, length, fields (see the target)."""
    def client(cmid, minutes_off=0, licence=2, hours=0, name="pc1"):
        fields = struct.pack("<hB16sII?16s16s16s16s", minutes_off, licence, cmid, 25, 43200, False, bytes(range(16)),
                             bytes(16), bytes(16), bytes(16)) + name.encode()
        return bytes([1 | hours << 2, len(fields)]) + fields

    many = b"".join(client(bytes([i]) * 16) for i in range(30))
    return {
        "one": bytes([0]) + client(b"1" * 16), "many": bytes([0]) + many,
        "again": bytes([0]) + client(b"1" * 16) + client(b"1" * 16, hours=30, licence=1),
        "cloned": bytes([0]) + client(b"1" * 16) + client(b"1" * 16, name="pc2") * 2,
        "clock": bytes([0]) + client(b"1" * 16, minutes_off=241) + client(b"1" * 16, minutes_off=-239),
        "unserved": bytes([1]) + client(b"1" * 16), "not-activated": bytes([0x80]) + client(b"1" * 16),
        "not-lab": bytes([0, 0, 8]) + bytes(range(8)),
    }


MACHINES = {
    "dot": "KMS1.corp.example.", "hosts": "kms1\x00127.0.0.1 localhost\n127.0.1.1\tkms1.corp.example kms1 # b.c\n",
    "search": "kms1\x00::1 kms1\n\x00domain a.example\r\nnameserver 192.0.2.1\nsearch Corp.Example. b.example\n",
    "none": "kms1\x00127.0.0.1 kms11.corp.example\n\x00search .",
}

ENVIRONMENTS = {
    "two": "LISTEN_PID=self\nLISTEN_FDS=2\nLISTEN_FDNAMES=a:b",
    "three": "LISTEN_PID=self\nLISTEN_FDS=3",
    "four": "LISTEN_PID=self\nLISTEN_FDS=4\n",
    "many": "LISTEN_PID=self\nLISTEN_FDS=17",
    "other": "LISTEN_PID=1\nLISTEN_FDS=2",
    "not": "LISTEN_PID=self\nLISTEN_FDS=-1\nWATCHDOG_USEC=x",
    "watch": "WATCHDOG_USEC=30000000\nWATCHDOG_PID=self",
    "watch-other": "WATCHDOG_USEC=3000\nWATCHDOG_PID=1",
}

COMMAND_LINES = {
    "plain": "take\n-c\nfile\n--json\n-d\na.example\n--domain=b.example\nword\n--timeout\n5s",
    "dashes": "take\n--\n--json\n-5",
    "negative": "take\n-1073418124\n--timeout\n-3\n-f",
    "short": "take\n-fdx\n-cfile\n-h",
    "wrong": "take\n--nothing",
    "ambiguous": "take\n--t\n5\n--do=x",
    "operand": "none\nword",
    "none": "none\n--force",
    "help": "--help",
    "version": "--version",
    "completion": "--completion",
    "manual": "--manual",
}

KNOWN = {
    "hosts": '{"srv":"_vlmcs._tcp.corp.example","hosts":[{"name":"a:1688","host":"a","port":1688,"priority":0,'
             '"srv":true,"addresses":["127.0.0.1:1688","[::1]:1688"]},{"name":"b","host":"192.0.2.1","port":1,'
             '"priority":10,"srv":false,"addresses":[]}]}',
    "wrong": '{"srv":7,"hosts":[{"name":"a"},{"port":70000},null,{"name":"b","host":"b","port":1,"addresses":["x"]}]}',
}

TEXTS = {
    "duration": "90m", "time": "2026-11-21T08:00:00Z", "time-offset": "2016-12-31T23:59:60.25+05:30",
    "name": "_vlmcs._tcp.a\\.b\\032c.example.", "guid": "51c82175-844e-4750-b0d8-ec255555bc06",
    "expect": "kms1.corp.example:1688:0:10", "hresult": "0xC004F074", "negative": "-1073418124",
    "inside": "NOTAUTH(BADTIME)", "word": "rpc-refusd",
}

LOGGED = {
    "plain": "kms1.corp.example", "forged": 'x\nlevel=error text="no', "quoted": 'a "b" \\ = c',
    "escape": "\x1b[31mred\x7f", "letters": "b\u00fcro \u20ac \U0001f600", "comma": "a,b,c",
}

STATE_ROWS = {
    "journal": "pub_set\tcorp.example\t\t_vlmcs._tcp.corp.example\tcorp.example\t192.0.2.1\tcorp\t0\t0\n"
               "pub_record\tcorp.example\t\t_vlmcs._tcp.corp.example\t0\t10\t1688\tkms1.corp.example\tlocal\t"
               "published\t0\t1789999990000\n"
               "pub_hold\tcorp.example\t\tlocal\t1789999990000\t0\npub_hold\t.\t\tkms1\t5\t6",
    "wrong": "pub_set\t..\t\tx\ty\t\t\t-1\t9\npub_record\tcorp.example\t\tx\t70000\t-1\t0\t.\t\tnothing\t-1\t-9",
    "events": "event\t7\t1789999990000\t12290\tservice.request\t2\t0\tA sentence\tfields\n"
              "event\t9\t-9\t-1\tx\t99\t-1\t#ff00\t",
    "clients": "kms_client\t0\t#0123456789abcdef\t1789999990000\tpc1\tpc2\t1\n"
               "kms_count\t0\t#0123456789abcdef\t1789999990000\nkms_total\t0\tcount_cap\t50\n"
               "kms_total\t0\trequests\t7\nkms_total\t0\tlicensed\t-7",
    "relay": 'relay\tdrained\t{"kms2":1789999990000}\nrelay\tknown\t' + KNOWN["hosts"],
    "times": "kms_client\t0\t#0123456789abcdef\t-9223372036854775807\ta\tb\t1\n"
             "kms_count\t0\t#0123456789abcdef\t9223372036854775807\nkms_total\t0\tcount_cap\t50",
    "numbers": "event\t9223372036854775807\t1789999990000\t1\tx\t1\t0\tt\ti",
    "hold-twice": "pub_hold\t-A.test\t\tx\t1\t0\npub_hold\t.\t\tkms1\t5\t6\npub_hold\t\\045a.test\t\tx\t1\t99",
    "flipped": "flip 20 0\nflip 4097 255\nflip 100 7",
}

REQUESTS = {
    "status": '{"command":"status"}',
    "events": '{"command":"events","args":{"after":0,"since_ms":0}}\n'
              '{"command":"events","args":{"after":99999999,"wait_ms":5,"since_ms":-1}}',
    "drain": '{"command":"drain","args":{"host":"office"}}\n{"command":"drain-status","args":{"host":"office"}}\n'
             '{"command":"resume","args":{"host":"office"}}',
    "drain-local": '{"command":"drain","args":{"force":true}}\n{"command":"resume"}',
    "drain-upstream": '{"command":"drain","args":{"host":"one","force":true}}\n'
                      '{"command":"drain","args":{"host":"two"}}\n{"command":"resume","args":{"host":"one"}}',
    "publish": '{"command":"publish","args":{"dry_run":true,"domain":"corp.example","timeout_ms":1000}}',
    "withdraw": '{"command":"withdraw","args":{"adopted":true,"orphans":true,"host":"office"}}',
    "reload": '{"command":"reload"}',
    "wrong": '{"command":7}\n[]\n{"command":"drain","args":{"host":7}}\n{"command":"x"}\n{"command":"status","args":[]}',
}

STATUS = (
    '{"exit":0,"report":{"version":"1","uptime_s":7,"service":{"mode":"%s","listen":["127.0.0.1:1688"],"count":25,'
    '"clients_30d":3,"clients_7d":2,"requests":9,"failed":1,"connections":1,"refused":0,"published":true,'
    '"by_licence":{"licensed":3},"duplicates":1,"duplicate_cmids":[{"cmid":"a","seen":"2026-11-21T08:00:00Z",'
    '"machines":["pc1","pc2"]}]},"hosts":[{"name":"local","target":"kms1.x","port":1688,"state":"up",'
    '"since":"2026-11-21T08:00:00Z","drained":true,"drain":"waiting"}],"records":[{"domain":"x","view":"","state":'
    '"lagging","last_proven":"2026-11-21T08:00:00Z","next_check":null,"last_error":"why","hint":"do"}],"upstreams":['
    '{"name":"one","address":"a","port":1688,"priority":0,"state":"not-rpc","since":"2026-11-21T08:00:00Z","open":1,'
    '"busy":1,"queued":0,"requests":5,"failed":1,"outstanding":0,"stale":1,"p50_ms":0.5,"p99_ms":120.5,"draining":true,'
    '"detail":"why","last_error":"RESET","last_error_at":"x","lab":true,"relay":true,"source":"srv",'
    '"hresults":{"0x00000000":4,"0xC004F042":1}}],"notify":{"listen":["127.0.0.1:53"],"taken":1,"ignored":2,"dropped":3},'
    '"discovery":[{"domain":"x","profile":"modern","result":{"code":"0xC004F074","text":"none"},"settled":false,'
    '"last_code":"0x00000000","since":"x","last_run":"y","next_run":"z","candidates":[{"target":"kms1.x","port":1688,'
    '"priority":0,"weight":1,"probe":{"state":"up"}}],"cached":{"target":"k","port":1,"answered":"y","standing":"gone"}}],'
    '"events":{"lost":1,"pending":2}}}\n')
EVENTS = (
    '{"exit":0,"report":{"events":[{"seq":1,"time":"2026-11-21T08:00:00Z","id":12290,"name":"x","level":"warning",'
    '"hresult":"0x0","text":"A sentence","info":"a,b","machine":"pc1"}],"last":1,"more":true}}\n')
DRAIN = (
    '{"exit":0,"report":{"host":"kms1","local":false,"state":"waiting","since":"2026-11-21T08:00:00Z","safe_at":null,'
    '"left_ms":90000,"ttl_s":3600,"clients_7d":3,"text":"why","domains":[%s],"published":null,"upstream":'
    '{"state":"outstanding","since":"x","outstanding":2}}}\n')
DOMAIN = (
    '{"domain":"x","zone":"x","view":"v","server":"192.0.2.1:53","changes":[{"op":"add","rr":"0 0 1688 kms1.x"},{"op":'
    '"delete","rr":"1 0 1688 kms1.x"}],"state":"lagging","rcode":"NOERROR","hresult":"0x0","proof":[{"server":"ns1.x",'
    '"address":"192.0.2.1","serial":7,"state":"lagging"}],"hint":"wait","findings":[{"id":"a","severity":"warning",'
    '"text":"t","hint":"h"}],"wildcard":null}')
PUBLISHED = '{"exit":1,"report":{"domains":[' + DOMAIN + '],"orphans":[{"domain":"y","view":"","records":["a"]}]}}\n'
ERROR = '{"exit":2,"error":{"code":"USAGE","text":"there is no such host"}}\n'


def answer_inputs():
    """The number of a command (see the target), and what it is answered."""
    said = {0: STATUS % "relay", 1: STATUS % "lab", 2: STATUS % "lab", 3: STATUS % "relay", 4: EVENTS, 5: EVENTS,
            6: DRAIN % DOMAIN, 7: DRAIN % "", 8: '{"exit":0,"report":{"host":"kms1","lifted":1,"upstreams":1}}\n',
            9: ERROR, 10: '{"exit":2,"report":{"errors":["a:1: wrong"]}}\n', 11: PUBLISHED, 12: PUBLISHED,
            13: PUBLISHED}
    return {f"{number:02d}": bytes([number]) + text.encode() for number, text in said.items()}


def main():
    random.seed(1)
    root = pathlib.Path(sys.argv[1])
    inputs = {"dnsmsg": {}, "tsig": {}, "tsig_key": KEY_FILES,
              "rpc_client": rpc_client_inputs(), "answer": answer_inputs()}
    texts = {"environment": ENVIRONMENTS, "command": COMMAND_LINES, "known": KNOWN, "text": TEXTS,
             "log": LOGGED, "machine": MACHINES, "state": STATE_ROWS, "daemon": REQUESTS}
    for target, files in texts.items():
        inputs[target] = {label: text.encode() for label, text in files.items()}
    inputs["dnsmsg"].update(make_dnsmsg_vectors.builds())
    for label, message in make_dnsmsg_vectors.parses():
        inputs["dnsmsg"]["reply-" + label] = message.to_wire(max_size=65535)
    inputs["dnsmsg"]["update-forms"] = make_dnsmsg_vectors.update_message().to_wire()
    algorithm = make_tsig_vectors.ALGORITHMS["hmac-sha256"]
    for row in make_tsig_vectors.rows_of("hmac-sha256", *algorithm):
        if row[0] == "request":
            inputs["tsig"]["request"] = row[2]
        else:
            inputs["tsig"][row[1]] = row[2]
    inputs["plan"] = plan_inputs()
    inputs["notify"] = notify_inputs()
    inputs["dns_peer"] = peer_inputs()
    inputs["lab_host"] = lab_host_inputs()
    for target, files in inputs.items():
        folder = root / target
        folder.mkdir(parents=True, exist_ok=True)
        for label, data in files.items():
            (folder / label).write_bytes(data)


if __name__ == "__main__":
    main()
