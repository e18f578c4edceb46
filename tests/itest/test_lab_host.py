"""The lab host as its operator sets it up to rehearse failures, and what it tells of its clients."""

import os


def client(kb, d, n, *words, **how):
    """A client of its own for each n; it knows the host, so DNS has no part here."""
    args = ["--json", "--state", d.folder / f"client{n}.json", "--key", d.folder / "state" / "lab.key"]
    return kb("client", *words, *args, *how.pop("more", ()), **how)


def attempt(kb, d, n, product):
    client(kb, d, n, "skms", d.address, more=("--product", product, "--name", f"pc{n}"))
    return client(kb, d, n, "ato").json["result"]["code"]


def test_products_of_the_host(lab, kb):
    d = lab("lab: { products: [server, office] }\n")
    assert attempt(kb, d, 1, "windows") == "0xC004F042"
    assert attempt(kb, d, 2, "server") == "0xC004F038"  # served, and counted
    service = d.status()["service"]
    assert (service["count"], service["requests"], service["failed"]) == (1, 2, 1), service
    config = d.folder / "kb.yaml"
    config.write_text(config.read_text().replace("[server, office]", "[windows]"))
    assert d.command("reload").code == 0
    assert attempt(kb, d, 1, "windows") == "0xC004F038"
    assert attempt(kb, d, 2, "server") == "0xC004F042"


def test_host_that_is_not_activated(lab, kb):
    d = lab("lab: { activated: false }\n")
    assert attempt(kb, d, 1, "office") == "0xC004F074"  # no other host to ask, as Windows says it
    d.wait_log(r"kms\.request.*0xC004F041")
    config = d.folder / "kb.yaml"
    config.write_text(config.read_text().replace("activated: false", "activated: true, renewal_interval: 1d"))
    assert d.command("reload").code == 0
    assert attempt(kb, d, 1, "office") == "0xC004F038"
    dlv = client(kb, d, 1, "dlv").json
    assert (dlv["activation_interval_min"], dlv["renewal_interval_min"]) == (120, 1440)


def test_cloned_image_is_named_in_status(lab, kb):
    d = lab()
    attempt(kb, d, 1, "server")
    image = (d.folder / "client1.json").read_text()
    for n in (2, 3):
        (d.folder / f"client{n}.json").write_text(image.replace('"pc1"', f'"clone{n}"'))
        assert client(kb, d, n, "ato").json["count"] == 1
    service = d.status()["service"]
    assert service["count"] == 1 and service["duplicates"] == 1, service
    one = service["duplicate_cmids"][0]
    assert one["machines"] == ["clone3", "clone2"] and one["cmid"] in image, (one, image)
    text = d.command("status").out
    assert "pc1 and clone2 use one client machine id" in d.command("events").out
    assert "1 machine id is used by more than one machine" in text and "clone3, clone2" in text, text
    assert all(len(line) <= 100 for line in text.splitlines() if os.fspath(d.folder) not in line), text
