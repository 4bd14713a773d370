"""Certificates of a site: its own authority, its server's certificate, what is wrong with one; no file, no clock.

* Keys are P-256: OpenSSL, mosquitto and the mbedTLS of boards all take it; mbedTLS has no Ed25519.
* Certificates of ours hold from 1970 on. A board without a clock wakes in 1970, 2000 or 2021 and would refuse one that
  begins today. For the same reason the authority never ends ("no well-defined expiration", RFC 5280 4.1.2.5).
* The server's ends after SERVER_DAYS and is due when a third of that is left, so a gateway that was switched off for
  months is still trusted, and a device trusts the next one too: it knows the authority, not the server.
"""

import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
NEVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
SERVER_DAYS = 397
DUE_DAYS = SERVER_DAYS // 3
SOON_DAYS = 14
MAX_PEM_BYTES = 256 * 1024
COMMON_NAME_MAX = 64  # X.520's upper bound
_OTHER_USES = (
    *("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("encipher_only", "decipher_only"),
)


class CertificateError(Exception):
    """What was given cannot serve; the message says what was got, what was wanted and what to do."""


@dataclass(frozen=True)
class Pair:
    """A key and its certificates, the server's first and each followed by the one that signed it."""

    chain: tuple[x509.Certificate, ...]
    key: PrivateKeyTypes

    @property
    def leaf(self) -> x509.Certificate:
        return self.chain[0]

    def pem(self) -> bytes:
        """One file for both, so that a renewal is one rename and no reader ever sees a key without its certificate."""
        return self.chain_pem() + _key_pem(self.key)

    def chain_pem(self) -> bytes:
        return b"".join(item.public_bytes(serialization.Encoding.PEM) for item in self.chain)


def new_key() -> bytes:
    """A key for an authority, PEM."""
    return _key_pem(ec.generate_private_key(ec.SECP256R1()))


def authority_of(key_pem: bytes, site: str) -> Pair:
    """A certificate for an authority's key. CertificateError: that is no key of P-256."""
    key = _read_key(key_pem)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise CertificateError("got another kind of key, wanted P-256")
    name = _name(f"tinyren {site}")
    built = (
        _builder(name, name, key.public_key(), NEVER)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(is_authority=True), critical=True)
    )
    return Pair((built.sign(key, hashes.SHA256()),), key)


def issue(authority: Pair, names: Sequence[str], now: datetime) -> Pair:
    """A server's certificate for host names and addresses, of a new key."""
    key, signer = ec.generate_private_key(ec.SECP256R1()), authority.key
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    ends = now.replace(microsecond=0) + timedelta(days=SERVER_DAYS)
    built = (
        _builder(_name(names[0]), authority.leaf.subject, key.public_key(), ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(is_authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    return Pair((built.sign(signer, hashes.SHA256()),), key)


def read_pair(certificates: bytes, key: bytes) -> Pair:
    """A key and the certificates that go with it; each may be the whole of a file that holds both.

    Raises:
        CertificateError: not PEM, too long, the key has a passphrase, does not fit, or a certificate is not signed by
            the next one.
    """
    chain = _read_chain(certificates)
    private = _read_key(key)
    if _public(chain[0].public_key()) != _public(private.public_key()):
        raise CertificateError("the key does not fit the certificate; name the key that the certificate was made for")
    for index, (item, signer) in enumerate(zip(chain, chain[1:], strict=False), 1):
        if not is_issued_by(item, signer):
            wanted = "wanted the server's first, then each one's signer; take the issuer's full chain (fullchain.pem)"
            raise CertificateError(f"certificate {index} is not signed by the next one; {wanted}")
    return Pair(chain, private)


def refuse_unusable(pair: Pair, now: datetime) -> None:
    """Raises CertificateError: the certificate's time is not now, or it is not for a server."""
    leaf = pair.leaf
    if now > leaf.not_valid_after_utc:
        ended = f"it ended on {leaf.not_valid_after_utc:%Y-%m-%d}, and this computer's clock says {now:%Y-%m-%d}"
        raise CertificateError(f"{ended}; have it renewed, or mend the clock")
    if now < leaf.not_valid_before_utc:
        begins = f"it begins on {leaf.not_valid_before_utc:%Y-%m-%d}, and this computer's clock says {now:%Y-%m-%d}"
        raise CertificateError(f"{begins}; mend the clock (timedatectl set-ntp true)")
    try:
        uses = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(uses):
        raise CertificateError("it is not for servers (serverAuth); ask the issuer for a server's certificate")


def is_due(pair: Pair, authority: Pair, names: Sequence[str], now: datetime) -> bool:
    """Whether a server's certificate is to be issued anew: it ends soon, lacks a name, or another authority signed."""
    if pair.leaf.not_valid_after_utc - now < timedelta(days=DUE_DAYS) or not set(names) <= set(names_of(pair.leaf)):
        return True
    return not is_issued_by(pair.leaf, authority.leaf)


def is_issued_by(certificate: x509.Certificate, signer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(signer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """The host names and addresses that a certificate is for, as text."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    return (*found.get_values_for_type(x509.DNSName), *map(str, found.get_values_for_type(x509.IPAddress)))


def covers(certificate: x509.Certificate, name: str) -> bool:
    """Whether a client that connects to `name` takes the certificate; one star for the first label counts."""
    own = names_of(certificate)
    return name in own or not is_address(name) and "*." + name.partition(".")[2] in own


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the certificate in 64 hex digits."""
    return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()


def is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_name(name: str) -> bool:
    """Whether a certificate can name it: an address, or a host name of RFC 1123."""
    labels = name.split(".")
    is_host = len(name) <= 253 and all(
        1 <= len(label) <= 63
        and label.isascii()
        and label.replace("-", "").isalnum()
        and label == label.strip("-").lower()
        for label in labels
    )
    return is_address(name) or is_host and not labels[-1].isdigit()


def _read_chain(content: bytes) -> tuple[x509.Certificate, ...]:
    try:
        return tuple(x509.load_pem_x509_certificates(_bounded(content)))
    except ValueError as error:
        raise CertificateError("it holds no certificate that can be read; wanted certificates, PEM") from error


def _read_key(content: bytes) -> PrivateKeyTypes:
    try:
        return serialization.load_pem_private_key(_bounded(content), None)
    except TypeError as error:
        raise CertificateError("the key has a passphrase; wanted one without, in a file only its user reads") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError("it holds no key that can be read; wanted a private key, PEM") from error


def _key_pem(key: PrivateKeyTypes) -> bytes:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption())


def _bounded(content: bytes) -> bytes:
    if len(content) > MAX_PEM_BYTES:
        raise CertificateError(f"got {len(content)} bytes, wanted at most {MAX_PEM_BYTES} of PEM")
    return content


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(ALWAYS)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(is_authority: bool) -> x509.KeyUsage:
    signs = {"digital_signature": not is_authority, "key_cert_sign": is_authority, "crl_sign": is_authority}
    return x509.KeyUsage(**signs, **dict.fromkeys(_OTHER_USES, False))


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:COMMON_NAME_MAX])])


def _general_name(name: str) -> x509.GeneralName:
    return x509.IPAddress(ipaddress.ip_address(name)) if is_address(name) else x509.DNSName(name)


def _public(key: object) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    found: bytes = key.public_bytes(serialization.Encoding.DER, form)  # type: ignore[attr-defined]
    return found
