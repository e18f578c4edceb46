"""A daemon in lab mode, and the lab envelope as a client of its own (python3-cryptography, nothing of kmsbeacon)."""

import hashlib
import os
import struct
import time

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .rpc_pdu import request_stub, response_body  # noqa: F401  (for those who speak to a lab host)

KMS = ("51c82175-844e-4750-b0d8-ec255555bc06", "1.0")
NDR32 = ("8a885d04-1ceb-11c9-9fe8-08002b104860", "2.0")
NDR64 = ("71710533-beba-4937-8319-b5dbef9ccc36", "1.0")
OOB_GRACE = 2


def start_lab(daemon, folder, listen, extra="", service="", name="lab", key_file=None, **how):
    """daemon(config, name=) on `listen`; .where is (host, port), .status() what it says, .key its LabKey."""
    folder.mkdir(exist_ok=True)
    config = folder / "kb.yaml"
    config.write_text(
        f"node: {{ target: kms1.lab.test, state_dir: {folder}/state, control: {{ socket: {folder}/sock }} }}\n"
        f"service: {{ mode: lab, listen: [\"{listen}\"]{service} }}\n"
        f"hosts: []\nlog: {{ level: debug }}\n{extra}"
        + (f"lab: {{ key_file: {key_file} }}\n" if key_file else "")
    )
    d = daemon(config, name=name, **how)
    d.wait_log(r"daemon\.ready")
    d.status = lambda: d.command("status", "--json").json
    d.address = d.status()["service"]["listen"][0]
    host, port = d.address.rsplit(":", 1)
    d.where = (host.strip("[]"), int(port))
    d.folder = folder
    d.key = LabKey(key_file or folder / "state" / "lab.key")
    return d


def _filetime(when):
    return int((when + 11644473600) * 10_000_000)


class LabKey:
    """seal() makes a request of one machine, open() reads the answer to it."""

    def __init__(self, path):
        text = [x for x in path.read_text().splitlines() if not x.startswith("#")][0]
        raw = bytes.fromhex(text.strip())
        self._header = struct.pack("<HH", 1, 0x4C42) + hashlib.sha256(b"kmsbeacon-lab-id" + raw).digest()[:8]
        self._c2s, self._s2c = (
            AESGCM(HKDF(algorithm=SHA256(), length=32, salt=None, info=b"kmsbeacon lab " + way).derive(raw))
            for way in (b"c2s", b"s2c")
        )

    def seal(self, cmid=None, name="pc1", n_policy=25, when=None, licence=OOB_GRACE):
        filetime = _filetime(time.time() if when is None else when)
        plain = (cmid or os.urandom(16)) + bytes(64)
        plain += struct.pack("<QIIII", filetime, licence, 43200, n_policy, 0)
        plain += name.encode("utf-16-le").ljust(128, b"\0")
        nonce = os.urandom(12)
        return self._header + nonce + self._c2s.encrypt(nonce, plain, self._header + b"C")

    def open(self, body):
        """Count, activation interval, renewal interval."""
        return struct.unpack_from("<III", self._plain(body), 36)

    def open_for(self, body, request, cmid, when):
        """As open(), and the answer must be to this request of seal(cmid, ..., when)."""
        plain = self._plain(body)
        assert plain[:16] == cmid, "the CMID is another client's"
        assert struct.unpack_from("<Q", plain, 16)[0] == _filetime(when), "the time is another request's"
        assert plain[24:36] == request[12:24], "the nonce is another request's"
        return struct.unpack_from("<III", plain, 36)

    def _plain(self, body):
        assert body[:12] == self._header, "another header"
        return self._s2c.decrypt(body[12:24], body[24:], self._header + b"S")
