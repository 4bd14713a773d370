"""Certificates as OpenSSL, CPython and a broker take them: what is issued, and what is refused with which words."""

import ssl
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.lan import certificates
from gateway.lan.certificates import CertificateError

NOW = datetime(2026, 11, 22, tzinfo=UTC)
NAMES = ("gateway-1", "gateway-1.local", "localhost", "127.0.0.1", "::1")


@pytest.fixture(scope="module")
def authority():
    return certificates.authority_of(certificates.new_key(), "site")


@pytest.fixture(scope="module")
def server(authority):
    return certificates.issue(authority, NAMES, NOW)


def openssl(*words, text=""):
    return subprocess.run(["openssl", *map(str, words)], input=text, capture_output=True, text=True, check=False)


def made_by_openssl(folder, name="issuer", *more):
    """A certificate of its own with its key, as another issuer's file would be."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    kind = more or ("-newkey", "rsa:2048", "-addext", "subjectAltName=DNS:gw.example.org", "-days", "30")
    made = openssl("req", "-x509", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", cert, *kind)
    assert made.returncode == 0, made.stderr
    return cert.read_bytes(), key.read_bytes()


@pytest.mark.parametrize("clock", [0, 946_684_800, 1_609_459_200, int(NOW.timestamp()), 2_000_000_000])
def test_the_server_is_trusted_at_every_clock_from_1970_until_it_ends(clock, authority, server, tmp_path):
    (tmp_path / "ca.pem").write_bytes(authority.chain_pem())
    (tmp_path / "server.pem").write_bytes(server.pem())
    at = "-attime", clock, "-x509_strict", "-purpose", "sslserver", "-verify_ip", "127.0.0.1"
    ended = openssl("verify", *at, "-CAfile", tmp_path / "ca.pem", tmp_path / "server.pem")
    is_over = clock > server.leaf.not_valid_after_utc.timestamp()
    assert ended.returncode == (2 if is_over else 0), ended.stderr
    assert ("has expired" in ended.stderr) == is_over


@pytest.mark.parametrize(("name", "is_good"), [("gateway-1", True), ("localhost", True), ("gateway-2", False)])
def test_openssl_takes_it_for_its_names_and_for_no_other(name, is_good, authority, server, tmp_path):
    (tmp_path / "ca.pem").write_bytes(authority.chain_pem())
    (tmp_path / "server.pem").write_bytes(server.pem())
    ended = openssl("verify", "-verify_hostname", name, "-CAfile", tmp_path / "ca.pem", tmp_path / "server.pem")
    assert (ended.returncode == 0) == is_good


def test_an_authority_never_ends_and_signs_no_other_authority(authority, tmp_path):
    assert authority.leaf.not_valid_after_utc == certificates.NEVER
    said = openssl("x509", "-noout", "-text", text=authority.chain_pem().decode()).stdout
    assert "CA:TRUE, pathlen:0" in said and "Certificate Sign" in said and "prime256v1" in said


def test_a_certificate_is_due_before_its_end_for_a_new_name_and_for_another_authority(authority, server):
    ends = server.leaf.not_valid_after_utc
    other = certificates.authority_of(certificates.new_key(), "site")
    due = timedelta(days=certificates.DUE_DAYS)
    assert not certificates.is_due(server, authority, NAMES, NOW)
    assert not certificates.is_due(server, authority, NAMES[:1], ends - due)
    assert certificates.is_due(server, authority, NAMES, ends - due + timedelta(seconds=1))
    assert certificates.is_due(server, authority, (*NAMES, "10.0.0.7"), NOW)
    assert certificates.is_due(server, other, NAMES, NOW)


def test_what_was_issued_is_read_again_and_serves(server, tmp_path):
    again = certificates.read_pair(server.pem(), server.pem())
    assert again.pem() == server.pem() and certificates.names_of(again.leaf) == NAMES
    (tmp_path / "server.pem").write_bytes(server.pem())
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tmp_path / "server.pem")
    certificates.refuse_unusable(again, NOW)


def test_another_issuers_certificate_and_chain_are_taken(authority, server, tmp_path):
    cert, key = made_by_openssl(tmp_path)
    pair = certificates.read_pair(cert, key)
    certificates.refuse_unusable(pair, datetime.now(UTC))
    assert certificates.names_of(pair.leaf) == ("gw.example.org",)
    chain = server.chain_pem() + authority.chain_pem()
    assert len(certificates.read_pair(chain, server.pem()).chain) == 2


def test_a_pair_that_cannot_serve_is_refused_in_words(authority, server, tmp_path):
    cert, key = made_by_openssl(tmp_path)
    locked = openssl("pkcs8", "-topk8", "-passout", "pass:secret", text=key.decode()).stdout.encode()
    for certs, private, message in (
        (b"", key, "it holds no certificate"),
        (b"noise", key, "it holds no certificate"),
        (cert, b"noise", "it holds no key"),
        (cert, locked, "the key has a passphrase; wanted one without"),
        (cert, server.pem(), "the key does not fit the certificate"),
        (server.chain_pem() + cert, server.pem(), "certificate 1 is not signed by the next one"),
        (authority.chain_pem() + server.chain_pem(), authority.pem(), "certificate 1 is not signed by the next one"),
        (cert * 400, key, "bytes, wanted at most 262144 of PEM"),
    ):
        with pytest.raises(CertificateError, match=message) as raised:
            certificates.read_pair(certs, private)
        assert "PRIVATE" not in str(raised.value) and "secret" not in str(raised.value)


def test_a_clock_that_is_wrong_by_years_is_named(tmp_path):
    pair = certificates.read_pair(*made_by_openssl(tmp_path))
    for now, message in (
        (datetime(2001, 1, 1, tzinfo=UTC), "it begins on 20.*clock says 2001-01-01; mend the clock"),
        (datetime(2060, 1, 1, tzinfo=UTC), "it ended on 20.*clock says 2060-01-01; have it renewed, or mend the clock"),
    ):
        with pytest.raises(CertificateError, match=message):
            certificates.refuse_unusable(pair, now)


def test_a_clients_certificate_is_not_taken_for_a_servers(tmp_path):
    use = "-newkey", "rsa:2048", "-addext", "extendedKeyUsage=clientAuth"
    with pytest.raises(CertificateError, match="not for servers"):
        certificates.refuse_unusable(certificates.read_pair(*made_by_openssl(tmp_path, "c", *use)), datetime.now(UTC))


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        *((name, True) for name in ("a", "gw.local", "xn--bcher-kva.example", "10.0.0.1", "fe80::1", "a" * 63)),
        *((name, False) for name in ("", "a b", "-a", "a-", "a..b", "*.a", "http://a", "a:1", "ä", "a" * 64, "A")),
        *((name, False) for name in ("10.0.0.256", "1.2", "a_b", ".".join(["abc"] * 70))),
    ],
)
def test_a_name_is_a_host_name_or_an_address(name, is_one):
    assert certificates.is_name(name) == is_one


def test_one_star_covers_one_label(tmp_path):
    star = "-newkey", "rsa:2048", "-addext", "subjectAltName=DNS:*.example.org"
    leaf = certificates.read_pair(*made_by_openssl(tmp_path, "s", *star)).leaf
    assert [certificates.covers(leaf, name) for name in ("gw.example.org", "a.gw.example.org", "example.org")] == [
        True,
        False,
        False,
    ]


@settings(max_examples=60, derandomize=True, deadline=None)
@given(data=st.data())
def test_torn_and_bent_files_raise_nothing_else(data, server):
    whole = bytearray(server.pem())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    torn = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    for certs, key in ((torn, server.pem()), (server.pem(), torn), (torn, torn)):
        try:
            pair = certificates.read_pair(certs, key)
            certificates.refuse_unusable(pair, NOW)
            certificates.names_of(pair.leaf)
        except CertificateError:
            pass
