"""Our own certificate, made once, and the folder that says which servers a person trusts.

Layout of the folder: ``own/`` holds our key and certificate, ``trusted/`` the certificates (or their issuers) that a person
trusts, ``pending/`` those seen and not trusted yet. A certificate is known by its SHA-256 thumbprint.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import os
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from madang.errors import UsageError
from madang.plant import Bilingual

Problem = Literal["unreadable", "expired", "not_yet", "host", "application", "weak", "untrusted"]
YEARS: Final = 10
_CHAIN: Final = 4


@dataclass(frozen=True)
class OwnCertificate:
    """Our key and certificate, as files."""

    certificate: Path
    key: Path
    uri: str
    """Application URI in the certificate; the session has to say the same (OPC 10000-4, 6.1.3)."""
    thumbprint: str


@dataclass(frozen=True)
class ServerCertificate:
    """A server's certificate and what is wrong with it."""

    der: bytes
    thumbprint: str
    """SHA-256, hexadecimal."""
    sha1: str
    """As other OPC UA tools show it."""
    subject: str
    first: datetime | None
    last: datetime | None
    hosts: tuple[str, ...]
    problems: tuple[Problem, ...]

    def facts(self) -> dict[str, str]:
        """Return what a person needs to recognise it."""
        return {
            "thumbprint": self.thumbprint,
            "thumbprint_sha1": self.sha1,
            "subject": self.subject,
            "valid_from": self.first.isoformat() if self.first else "",
            "valid_until": self.last.isoformat() if self.last else "",
            "hosts": ", ".join(self.hosts),
        }


def own_certificate(folder: Path, now: datetime) -> OwnCertificate:
    """Return our certificate of a folder, made there the first time.

    The key is readable by its owner alone. Two processes that start at once end up with the same pair: the key is linked
    into place only where none stands.
    """
    place = folder / "own"
    place.mkdir(parents=True, exist_ok=True)
    key_file, certificate_file = place / "client.key.pem", place / "client.der"
    if not key_file.exists():
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        _place(key_file, pem)
    held = serialization.load_pem_private_key(key_file.read_bytes(), None)
    if not isinstance(held, rsa.RSAPrivateKey):
        raise _unusable(key_file)
    if not certificate_file.exists():
        _place(certificate_file, _self_signed(held, now))
    certificate = x509.load_der_x509_certificate(certificate_file.read_bytes())
    if certificate.public_key() != held.public_key():
        raise _unusable(certificate_file)
    uris = _names(certificate)[1]
    if not uris:
        raise _unusable(certificate_file)
    return OwnCertificate(certificate_file, key_file, uris[0], thumbprint(certificate_file.read_bytes()))


def thumbprint(der: bytes) -> str:
    """Return the SHA-256 of a certificate, hexadecimal."""
    return hashlib.sha256(der).hexdigest()


def examine(blob: bytes, *, folder: Path, host: str, application: str | None, now: datetime) -> ServerCertificate:
    """Say whether a server's certificate can be trusted, and everything that is wrong with it.

    Args:
        blob: DER, the server's own certificate first, its issuers behind it.
        folder: Folder of certificates.
        host: Name or address that we connect to.
        application: Application URI that the server says it has.
        now: Instant at which it has to be valid.
    """
    ders = split_chain(blob)
    try:
        chain = [x509.load_der_x509_certificate(der) for der in ders]
        certificate = chain[0]
        hosts, uris = _names(certificate)
    except (ValueError, IndexError):
        return ServerCertificate(blob, thumbprint(blob), hashlib.sha1(blob).hexdigest(), "", None, None, (), ("unreadable",))  # noqa: S324 - shown beside SHA-256 for comparing
    problems: list[Problem] = []
    if now > certificate.not_valid_after_utc:
        problems.append("expired")
    if now < certificate.not_valid_before_utc:
        problems.append("not_yet")
    if not _covers(hosts, host):
        problems.append("host")
    if application is not None and application not in uris:
        problems.append("application")
    key = certificate.public_key()
    algorithm = certificate.signature_hash_algorithm
    if (isinstance(key, rsa.RSAPublicKey) and key.key_size < 2048) or isinstance(algorithm, hashes.SHA1 | hashes.MD5):
        problems.append("weak")
    if not _trusted(chain, folder, now):
        problems.append("untrusted")
    der = ders[0]
    return ServerCertificate(
        der,
        thumbprint(der),
        hashlib.sha1(der).hexdigest(),  # noqa: S324 - shown beside SHA-256 for comparing
        certificate.subject.rfc4514_string(),
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        hosts,
        tuple(problems),
    )


def remember(folder: Path, der: bytes) -> None:
    """Keep a certificate that was seen, so that a person can trust it by its thumbprint; at most 200 wait."""
    pending = folder / "pending"
    pending.mkdir(parents=True, exist_ok=True)
    file = pending / f"{thumbprint(der)}.der"
    if not file.exists() and len(list(pending.iterdir())) < 200:
        _place(file, der)


def trust(folder: Path, wanted: str) -> Path:
    """Move a certificate that was seen into ``trusted/``.

    Args:
        folder: Folder of certificates.
        wanted: Its SHA-256 or SHA-1 thumbprint; case, colons and blanks do not matter.

    Raises:
        UsageError: No certificate with that thumbprint was seen.
    """
    plain = "".join(character for character in wanted.casefold() if character in "0123456789abcdef")
    for place in (folder / "pending", folder / "trusted"):
        for file in sorted(place.glob("*.der")):
            der = file.read_bytes()
            if plain in {thumbprint(der), hashlib.sha1(der).hexdigest()}:  # noqa: S324 - as other tools show it
                kept = folder / "trusted" / f"{thumbprint(der)}.der"
                kept.parent.mkdir(parents=True, exist_ok=True)
                if file != kept:
                    file.replace(kept)
                return kept
    raise UsageError(
        "certificate_not_seen",
        ko="이 지문의 인증서를 본 적이 없어요.",
        en="No certificate with this thumbprint was seen.",
        next_ko="madang connect test 이름 을 먼저 하고, 거기 나온 지문을 서버의 것과 비교하세요.",
        next_en="Run madang connect test NAME first, and compare the thumbprint shown there with the server's own.",
        where={"thumbprint": plain},
    )


def split_chain(blob: bytes) -> list[bytes]:
    """Return the DER certificates that stand one behind the other in a blob."""
    ders: list[bytes] = []
    while len(blob) >= 4 and blob[0] == 0x30 and len(ders) < _CHAIN:
        if blob[1] < 0x80:
            length = 2 + blob[1]
        else:
            width = blob[1] & 0x7F
            length = 2 + width + int.from_bytes(blob[2 : 2 + width], "big")
        if length > len(blob):
            break
        ders.append(blob[:length])
        blob = blob[length:]
    return ders


def _trusted(chain: list[x509.Certificate], folder: Path, now: datetime) -> bool:
    """Whether the certificate, or the issuer that really signed it, stands in ``trusted/``."""
    kept = []
    for file in (folder / "trusted").glob("*.der"):
        with contextlib.suppress(ValueError):
            kept.append(x509.load_der_x509_certificate(file.read_bytes()))
    known = {certificate.fingerprint(hashes.SHA256()) for certificate in kept}
    certificate = chain[0]
    for _ in range(_CHAIN):
        if certificate.fingerprint(hashes.SHA256()) in known:
            return True
        issuer = next((one for one in kept + chain[1:] if _issued(certificate, one, now)), None)
        if issuer is None or issuer == certificate:
            return False
        certificate = issuer
    return False


def _issued(certificate: x509.Certificate, issuer: x509.Certificate, now: datetime) -> bool:
    try:
        basic = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    return basic.ca and issuer.not_valid_before_utc <= now <= issuer.not_valid_after_utc


def _names(certificate: x509.Certificate) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Hosts and application URIs of a certificate."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return (), ()
    hosts = [str(name) for name in names.get_values_for_type(x509.DNSName)]
    hosts += [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    return tuple(hosts), tuple(names.get_values_for_type(x509.UniformResourceIdentifier))


def _covers(hosts: tuple[str, ...], host: str) -> bool:
    """Whether one of the names in a certificate is the host; a loop-back address also goes by this machine's name."""
    wanted = {host.casefold()}
    if host.casefold() == "localhost" or _is_loopback(host):
        wanted |= {"localhost", "127.0.0.1", "::1", socket.gethostname().casefold()}
    return any(name.casefold() in wanted for name in hosts)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _own_host() -> str:
    """This machine's name in the letters that a certificate may hold."""
    try:
        return socket.gethostname().encode("idna").decode("ascii") or "madang"
    except UnicodeError:
        return "madang"


def _self_signed(key: rsa.RSAPrivateKey, now: datetime) -> bytes:
    host = _own_host()
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, f"Madang at {host}"[:64]),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Madang"),
        ]
    )
    identity = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    # Key usages that OPC 10000-6, 6.2.2 asks of an application instance certificate.
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=True,
        data_encipherment=True,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    start = now - timedelta(hours=1)  # servers whose clock is a little behind take it as well
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=365 * YEARS))
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"urn:{host}:madang:client"), x509.DNSName(host)]),
            False,
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(usage, True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .add_extension(identity, False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identity), False)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def _place(file: Path, content: bytes) -> None:
    """Write a file whole, for its owner alone, unless one stands there already."""
    half = file.with_name(f".{file.name}.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(half, file)
    finally:
        half.unlink(missing_ok=True)


def _unusable(file: Path) -> UsageError:
    return UsageError(
        "own_certificate_unusable",
        ko="우리 쪽 인증서와 키가 서로 맞지 않거나 읽을 수 없어요.",
        en="Our own certificate and key do not belong together or cannot be read.",
        next_ko="own 폴더를 지우면 새로 만들어요. 서버에서 새 인증서를 다시 믿게 해야 해요.",
        next_en="Remove the folder own and a new pair is made. The server then has to trust the new certificate.",
        where={"file": file.name},
    )


PROBLEM_TEXTS: Final[dict[Problem, Bilingual]] = {
    "unreadable": Bilingual("서버의 인증서를 읽을 수 없어요.", "The server's certificate cannot be read."),
    "expired": Bilingual("서버의 인증서가 기한이 지났어요.", "The server's certificate has expired."),
    "not_yet": Bilingual(
        "서버의 인증서가 아직 쓸 때가 아니에요. 두 쪽의 시계를 보세요.",
        "The server's certificate is not valid yet. Look at the clocks of both sides.",
    ),
    "host": Bilingual(
        "서버의 인증서가 다른 이름으로 되어 있어요. 다른 서버일 수 있어요.",
        "The server's certificate is for another name. It may be another server.",
    ),
    "application": Bilingual(
        "서버가 말하는 응용 이름이 인증서에 없어요.",
        "The application that the server says it is does not stand in its certificate.",
    ),
    "weak": Bilingual("서버의 인증서가 약해요(짧은 키나 SHA-1).", "The server's certificate is weak (short key or SHA-1)."),
    "untrusted": Bilingual(
        "아직 아무도 이 서버의 인증서를 믿는다고 하지 않았어요.",
        "Nobody has said yet that this server's certificate is trusted.",
    ),
}
