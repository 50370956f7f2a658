"""Secrets of connections: kept encrypted, shown to nobody, and taken out of every text that leaves the program.

``keys/secrets.bin`` holds all of them in one AES-256-GCM box. The key is not in the workspace: it comes from ``MADANG_SECRET_KEY``, else
from a file of the user's own settings folder that is made on first use. A secret may also be a reference, ``env:NAME`` or ``file:PATH``,
which is looked up each time and never copied.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import os
import re
import secrets as random
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from madang.connect import FileLock
from madang.errors import InputError, MissingError, RefusedError

KEY_VARIABLE: Final = "MADANG_SECRET_KEY"
STORED: Final = "stored"
"""What stands in a connection's file in place of a secret that is kept in the box."""
_MAGIC: Final = b"madang-secrets/1\n"
_SALT: Final = 16
_NONCE: Final = 12
_HIDDEN: Final = "•••"
_LONGEST: Final = 1 << 16
_SHORTEST_HIDDEN: Final = 4
"""Letters from which on a secret is looked for in texts; a shorter one would blot out ordinary words."""

_known: set[str] = set()
_known_lock = threading.Lock()


def conceal(text: str) -> str:
    """Return a text in which no secret stands that this process has looked up.

    Errors of other people's libraries quote addresses and log-ins, so every text that may hold one goes through here before it is shown,
    logged or written. What a process knows is the same for all of it; hence one set for the process.
    """
    with _known_lock:
        known = sorted(_known, key=len, reverse=True)
    for secret in known:
        if secret in text:
            text = text.replace(secret, _HIDDEN)
    return text


def remember(secret: str) -> str:
    """Make `conceal` take a secret out of texts from now on, also as addresses and JSON spell it; returns it unchanged."""
    from urllib.parse import quote, quote_plus

    if len(secret) >= _SHORTEST_HIDDEN:
        with _known_lock:
            _known.update({secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], repr(secret)[1:-1]})
    return secret


class _Concealed(logging.Filter):
    """Takes secrets out of log records of all libraries."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        hidden = conceal(message)
        if hidden != message:
            record.msg, record.args = hidden, ()
        if record.exc_info:
            record.exc_text = conceal(logging.Formatter().formatException(record.exc_info))
            record.exc_info = None
        return True


def conceal_logs() -> None:
    """Let no secret into a log from now on, whichever library writes it."""
    handlers = [*logging.getLogger().handlers, *([logging.lastResort] if logging.lastResort else [])]
    for handler in handlers:
        if not any(isinstance(known, _Concealed) for known in handler.filters):
            handler.addFilter(_Concealed())


def is_reference(value: str) -> bool:
    """Whether a text says where a secret is, instead of being one.

    >>> is_reference("env:KILN_PASSWORD"), is_reference("hunter2")
    (True, False)
    """
    return bool(re.match(r"(env|file):.", value))


class Secrets:
    """The box of secrets of one workspace.

    Args:
        root: Folder of the workspace.
        environment: Environment variables.
        config: Folder of the user's own settings, outside the workspace; found out when None.
        entropy: Gives random bytes; the system's by default.
    """

    def __init__(
        self,
        root: Path,
        environment: Mapping[str, str] = os.environ,
        *,
        config: Path | None = None,
        entropy: Callable[[int], bytes] = random.token_bytes,
    ) -> None:
        self._file = root / "keys" / "secrets.bin"
        self._root = root
        self._environment = environment
        self._config = config
        self._entropy = entropy

    def put(self, owner: str, name: str, value: str) -> str:
        """Keep a secret and return what stands for it in the readable file: the reference itself, or `STORED`.

        Args:
            owner: Whose it is, such as a connection's name.
            name: What it is, such as ``password``.
            value: The secret, or ``env:NAME`` or ``file:PATH``.

        Raises:
            InputError: The reference leads nowhere, or the secret is empty or longer than 64 KiB.
            RefusedError: The box was closed with another key.
        """
        if is_reference(value):
            self._looked_up(value, owner, name)
            return value
        if not value or len(value) > _LONGEST:
            raise _empty(owner, name)
        remember(value)
        self._change(lambda box: {**box, _label(owner, name): value})
        return STORED

    def get(self, owner: str, name: str, reference: str) -> str:
        """Return a secret.

        Args:
            owner: Whose it is.
            name: What it is.
            reference: What stands for it in the readable file.

        Raises:
            InputError: It is not there.
            RefusedError: The box was closed with another key.
        """
        if is_reference(reference):
            return remember(self._looked_up(reference, owner, name))
        box = self._open()
        if _label(owner, name) not in box:
            raise _lost(owner, name)
        return remember(box[_label(owner, name)])

    def forget(self, owner: str) -> None:
        """Throw away all secrets of one owner."""
        if self._file.exists():
            self._change(lambda box: {label: value for label, value in box.items() if not label.startswith(f"{owner}\0")})

    def _looked_up(self, reference: str, owner: str, name: str) -> str:
        kind, _, place = reference.partition(":")
        if kind == "env":
            found = self._environment.get(place)
            if not found:
                raise _nowhere(reference, owner, name)
            return found
        try:
            path = Path(place).expanduser()
            if not path.is_file() or path.stat().st_size > _LONGEST:
                raise _nowhere(reference, owner, name)
            text = path.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError):
            raise _nowhere(reference, owner, name) from None
        if not text:
            raise _nowhere(reference, owner, name)
        return text

    def _change(self, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
        lock = FileLock(self._file.with_suffix(".lock"))
        if not lock.take(patience=30.0):
            raise _busy(self._file)
        try:
            self._write(change(self._open()))
        finally:
            lock.release()

    def _open(self) -> dict[str, str]:
        if not self._file.exists():
            return {}
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        payload = self._file.read_bytes()
        head = len(_MAGIC) + _SALT
        if not payload.startswith(_MAGIC) or len(payload) < head + _NONCE + 16:
            raise _damaged(self._file)
        salt, nonce, closed = payload[len(_MAGIC) : head], payload[head : head + _NONCE], payload[head + _NONCE :]
        try:
            plain = AESGCM(self._key(salt, make=False)).decrypt(nonce, closed, _MAGIC)
        except InvalidTag:
            raise _wrong_key(self._file, self._environment) from None
        box: dict[str, str] = json.loads(plain)
        return box

    def _write(self, box: Mapping[str, str]) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        # A new salt and a new nonce each time: no pair of key and nonce is used twice.
        salt, nonce = self._entropy(_SALT), self._entropy(_NONCE)
        plain = json.dumps(box, ensure_ascii=False, sort_keys=True).encode()
        closed = AESGCM(self._key(salt, make=True)).encrypt(nonce, plain, _MAGIC)
        write_private(self._file, _MAGIC + salt + nonce + closed)

    def _key(self, salt: bytes, *, make: bool) -> bytes:
        from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

        given = self._environment.get(KEY_VARIABLE)
        if given:
            whole = _bytes_of_key(given)
            # A key that is words is stretched, so that guessing it costs time.
            return whole or Scrypt(salt=salt, length=32, n=2**15, r=8, p=1).derive(given.encode())
        return self._own_key(make=make)

    def _own_key(self, *, make: bool) -> bytes:
        file = self._key_file()
        if not file.exists():
            if not make:
                raise _no_key(file)
            write_private(file, base64.b64encode(self._entropy(32)) + b"\n", replace=False)
        key = _bytes_of_key(file.read_text(encoding="ascii", errors="replace").strip())
        if key is None:
            raise _damaged(file)
        return key

    def _key_file(self) -> Path:
        folder = self._config or config_folder(self._environment)
        file = (folder / "secret.key").absolute()
        if file.is_relative_to(self._root.absolute()):
            raise _key_inside(file)
        return file


def config_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder of the user's own settings of Madang."""
    if sys.platform == "win32":  # pragma: no cover (another system)
        return Path(environment.get("APPDATA") or Path.home()) / "madang"
    return Path(environment.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "madang"


def write_private(file: Path, payload: bytes, *, replace: bool = True) -> None:
    """Write a file that only its owner may read, whole or not at all, and make it durable.

    Args:
        file: Where; missing folders are made for the owner alone.
        payload: What.
        replace: False leaves a file alone that another process has written meanwhile.
    """
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = file.with_name(f".{file.name}.{os.getpid()}.{threading.get_ident()}.part")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(payload)
            stream.flush()
            os.fsync(stream.fileno())
        if replace:
            beside.replace(file)
        else:
            try:
                os.link(beside, file)
            except FileExistsError:
                pass
            except OSError:  # a file system without links
                if not file.exists():
                    beside.replace(file)
        _sync_folder(file.parent)
    finally:
        beside.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":  # pragma: no cover (another system)
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _bytes_of_key(text: str) -> bytes | None:
    """The 32 bytes of a key written in hexadecimal or base 64; None for words."""
    if re.fullmatch(r"[0-9a-fA-F]{64}", text):
        return bytes.fromhex(text)
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return found if len(found) == 32 else None


def _label(owner: str, name: str) -> str:
    return f"{owner}\0{name}"


def _empty(owner: str, name: str) -> InputError:
    return InputError(
        "bad_secret",
        ko=f"‘{owner}’의 비밀 값 {name}이(가) 비었거나 64 KiB보다 길어요.",
        en=f"The secret {name} of “{owner}” is empty or longer than 64 KiB.",
        next_ko=f"--secret {name}=env:변수 이름, --secret {name}=file:경로, 또는 표준 입력으로 주세요.",
        next_en=f"Give it as --secret {name}=env:VARIABLE, --secret {name}=file:PATH, or on standard input.",
        where={"connection": owner, "secret": name},
    )


def _nowhere(reference: str, owner: str, name: str) -> InputError:
    return InputError(
        "no_such_secret",
        ko=f"‘{owner}’의 비밀 값 {name}을(를) {reference} 에서 찾을 수 없어요.",
        en=f"The secret {name} of “{owner}” is not at {reference}.",
        next_ko="그 환경 변수나 파일을 만든 뒤 다시 하세요.",
        next_en="Make that environment variable or file, then try again.",
        where={"connection": owner, "secret": name, "reference": reference},
        retry=True,
    )


def _lost(owner: str, name: str) -> InputError:
    return InputError(
        "no_such_secret",
        ko=f"‘{owner}’의 비밀 값 {name}이(가) 없어요.",
        en=f"The secret {name} of “{owner}” is not kept here.",
        next_ko=f"madang connect remove 뒤에 --secret {name} 으로 다시 더하세요.",
        next_en=f"Remove the connection and add it again with --secret {name}; data and progress are kept.",
        where={"connection": owner, "secret": name},
    )


def _busy(file: Path) -> InputError:
    return InputError(
        "workspace_busy",
        ko="다른 프로그램이 비밀 값을 바꾸는 중이에요.",
        en="Another program is changing the secrets.",
        next_ko="잠시 뒤 다시 하세요.",
        next_en="Try again in a moment.",
        where={"file": str(file)},
        retry=True,
    )


def _damaged(file: Path) -> InputError:
    return InputError(
        "secrets_unreadable",
        ko=f"‘{file}’이(가) 망가졌어요.",
        en=f"“{file}” is damaged.",
        next_ko="백업에서 되돌리거나, 지우고 비밀 값을 다시 넣으세요.",
        next_en="Restore it from a backup, or delete it and enter the secrets again.",
        where={"file": str(file)},
    )


def _wrong_key(file: Path, environment: Mapping[str, str]) -> RefusedError:
    source = KEY_VARIABLE if environment.get(KEY_VARIABLE) else str(config_folder(environment) / "secret.key")
    return RefusedError(
        "wrong_secret_key",
        ko=f"‘{file}’은(는) 다른 열쇠로 잠겼어요. 지금 쓴 열쇠: {source}",
        en=f"“{file}” was closed with another key than the one of {source}.",
        next_ko=f"잠글 때 쓴 열쇠를 {KEY_VARIABLE} 로 주거나, 파일을 지우고 비밀 값을 다시 넣으세요.",
        next_en=f"Give the key it was closed with in {KEY_VARIABLE}, or delete the file and enter the secrets again.",
        where={"file": str(file), "key_from": source},
    )


def _no_key(file: Path) -> MissingError:
    return MissingError(
        "no_secret_key",
        ko=f"비밀 값을 여는 열쇠가 없어요: {KEY_VARIABLE} 도 없고 {file} 도 없어요.",
        en=f"The key to the secrets is missing: neither {KEY_VARIABLE} nor {file} is there.",
        next_ko=f"export {KEY_VARIABLE}=... 로 열쇠를 주거나, 열쇠 파일을 되돌려 놓으세요.",
        next_en=f"Give the key with: export {KEY_VARIABLE}=...  or put the key file back.",
        where={"file": str(file)},
    )


def _key_inside(file: Path) -> RefusedError:
    return RefusedError(
        "key_inside_workspace",
        ko=f"열쇠 파일 {file} 이(가) 작업 공간 안에 있게 돼요. 열쇠와 잠긴 것은 같은 곳에 두지 않아요.",
        en=f"The key file {file} would lie inside the workspace; a key is not kept with what it locks.",
        next_ko=f"XDG_CONFIG_HOME 을 작업 공간 밖으로 바꾸거나 {KEY_VARIABLE} 를 쓰세요.",
        next_en=f"Point XDG_CONFIG_HOME outside the workspace, or use {KEY_VARIABLE}.",
        where={"file": str(file)},
    )
