"""Connections of a workspace: one readable file each, secrets elsewhere.

``connections/NAME.toml`` says what a connection is and whether it should run. Changing the file by hand is allowed; a running runner follows
within a second or two.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, cast
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from madang.connect import ConnectionSettings, FileLock, SourceDescription
from madang.errors import InputError, Json, MadangError
from madang.workspace._secrets import Secrets, conceal, remember, write_private
from madang.workspace._toml import Plain, toml_text

Wanted: TypeAlias = Literal["running", "paused"]
OverflowPolicy: TypeAlias = Literal["block", "drop_oldest", "thin"]
POLICIES: Final = ("block", "drop_oldest", "thin")
FORMAT: Final = 1
_NAME: Final = re.compile(r"[^\W_](?:[\w .-]{0,62}[^\W_])?")
_RESERVED: Final = re.compile(r"((con|prn|aux|nul|com\d|lpt\d)(\..*)?|new|rows)", re.IGNORECASE)
LEAST_BYTES: Final = 16_000_000
"""Smallest spool that a connection may have: one second of a fast source has to fit into it several times."""
_SECRET_WORDS: Final = re.compile(
    r"(password|passwd|passphrase|pwd|secret|token|api_?key|access_?key|sslpassword)", re.IGNORECASE
)
_COMMENT: Final = "A connection of Madang. Change it and a running runner follows. Secrets do not stand here."


@dataclass(frozen=True)
class Connection:
    """What a workspace knows about one connection."""

    name: str
    kind: str
    url: str
    """Without any password."""
    options: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    """For each secret, where it is: ``stored``, ``env:NAME`` or ``file:PATH``."""
    tags: tuple[str, ...] = ()
    """Tags to take; empty = all that the source shows."""
    dataset: str = ""
    """Dataset of the library that it fills; the connection's own name unless said otherwise."""
    zone: str = "Asia/Seoul"
    wanted: Wanted = "running"
    overflow: OverflowPolicy = "block"
    """What happens when the spool is full: wait, drop the oldest (noted as a gap), or thin (noted)."""
    max_bytes: int = 0
    """Bytes that its spool may take; 0 = the spool's own limit."""
    created: str = ""

    def document(self) -> dict[str, Json]:
        """Return its facts for a report; secrets are named only."""
        return {
            "name": self.name,
            "kind": self.kind,
            "url": self.url,
            "dataset": self.dataset or self.name,
            "wanted": self.wanted,
            "options": dict(self.options),
            "secrets": [*self.secrets],
            "tags": [*self.tags],
            "zone": self.zone,
            "policy": {"overflow": self.overflow, "max_bytes": self.max_bytes or None},
            "importance": None,
            "created": self.created or None,
        }


class Connections:
    """The connections of one workspace.

    Args:
        root: Folder of the workspace.
        clock: Gives aware times.
        secrets: The box of secrets.
        kinds: Gives what each kind of source can do.
        zone: Zone of sources that do not say theirs.
    """

    def __init__(
        self,
        root: Path,
        clock: Callable[[], datetime],
        secrets: Secrets,
        *,
        kinds: Callable[[], Mapping[str, SourceDescription]],
        zone: str = "Asia/Seoul",
    ) -> None:
        self.folder = root / "connections"
        self._spools = root / "spool"
        self._keys = root / "keys"
        self._clock = clock
        self._secrets = secrets
        self._kinds = kinds
        self._zone = zone

    def add(
        self,
        name: str,
        kind: str,
        url: str,
        *,
        options: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        tags: Sequence[str] = (),
        dataset: str | None = None,
        wanted: Wanted = "running",
        overflow: OverflowPolicy = "block",
        max_bytes: int = 0,
    ) -> Connection:
        """Make a connection and keep its secrets in the box.

        Args:
            name: Its name: letters of any script, digits, blanks, ``-``, ``_`` and ``.``, at most 64.
            kind: One of the kinds of sources.
            url: Address; a password in it goes into the box and does not stay.
            options: Options of its kind.
            secrets: Secrets, or references to them (``env:NAME``, ``file:PATH``).
            tags: Tags to take; all when empty.
            dataset: Dataset it fills; one of its own name when None.
            wanted: Whether it should run.
            overflow: What happens when its spool is full.
            max_bytes: Bytes that its spool may take; 0 = the spool's own limit.

        Raises:
            InputError: Name, kind, address, option or policy is not one; nothing was changed.
        """
        made, hidden = self.checked(
            name,
            kind,
            url,
            options=options,
            secrets=secrets,
            tags=tags,
            dataset=dataset,
            overflow=overflow,
            max_bytes=max_bytes,
        )
        lock = FileLock(self.folder / ".lock")
        if not lock.take(patience=30.0):
            raise _busy(self.folder)
        try:
            taken = {known.casefold(): known for known in self.names()}
            if made.name.casefold() in taken:
                raise _taken(taken[made.name.casefold()])
            self._secrets.forget(made.name)
            references = {key: self._secrets.put(made.name, key, value) for key, value in hidden.items()}
            made = replace(made, secrets=references, wanted=wanted, created=_iso(self._clock()))
            self._write(made)
        finally:
            lock.release()
        return made

    def checked(
        self,
        name: str,
        kind: str,
        url: str,
        *,
        options: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        tags: Sequence[str] = (),
        dataset: str | None = None,
        overflow: str = "block",
        max_bytes: int = 0,
    ) -> tuple[Connection, dict[str, str]]:
        """Return a connection as it would be kept, and its secrets apart; changes nothing.

        Raises:
            InputError: Name, kind, address, option or policy is not one.
        """
        name = checked_name(name)
        description = self.description(kind)
        url, hidden = take_secrets_out(url.strip())
        for key, value in (options or {}).items():
            if key in description.secrets or _SECRET_WORDS.fullmatch(key):
                hidden[key] = remember(value) if not value.startswith(("env:", "file:")) else value
        hidden.update(secrets or {})
        plain = {key: str(value) for key, value in (options or {}).items() if key not in hidden}
        _check_url(url, description)
        _check_options(plain, description)
        if overflow not in POLICIES:
            raise _bad_value("overflow", overflow, POLICIES)
        if overflow != "block" and _takes_rows(description):
            raise _bad_value("overflow", overflow, ("block",))
        if max_bytes and max_bytes < LEAST_BYTES:
            raise _bad_value("max_bytes", str(max_bytes), ("0", f"{LEAST_BYTES}", "..."))
        made = Connection(
            name,
            kind,
            url,
            plain,
            dict.fromkeys(hidden, ""),
            tuple(dict.fromkeys(tags)),
            (dataset or "").strip() or name,
            self._zone,
            overflow=cast(OverflowPolicy, overflow),
            max_bytes=max_bytes,
        )
        return made, hidden

    def kinds(self) -> Mapping[str, SourceDescription]:
        """Return what each kind of source can do, in the order in which people are shown them."""
        return self._kinds()

    def description(self, kind: str) -> SourceDescription:
        """Return what a kind of source can do.

        Raises:
            InputError: There is no such kind.
        """
        known = self.kinds()
        if kind not in known:
            raise InputError(
                "no_such_kind",
                ko=f"‘{kind}’이라는 연결 종류가 없어요. 있는 것: {', '.join(known)}",
                en=f"There is no kind of connection “{kind}”. There are: {', '.join(known)}",
                next_ko="madang connect kinds 로 볼 수 있어요.",
                next_en="See: madang connect kinds",
                where={"kind": kind, "allowed": [*known]},
            )
        return known[kind]

    def names(self) -> list[str]:
        """Return the names of all connections, sorted, readable or not."""
        if not self.folder.is_dir():
            return []
        return sorted(unicodedata.normalize("NFC", file.stem) for file in self.folder.glob("*.toml") if file.is_file())

    def get(self, name: str) -> Connection:
        """Return one connection.

        Raises:
            InputError: There is none of that name, or its file cannot be read.
        """
        name = checked_name(name)
        file = self.folder / f"{name}.toml"
        if not file.is_file():
            raise self._none_such(name)
        found = _parsed(file, name)
        if found.overflow != "block" and _takes_rows(self._kinds().get(found.kind)):
            raise _unreadable(file, 'policy.overflow: "block"')
        return found

    def all(self) -> tuple[list[Connection], dict[str, MadangError]]:
        """Return all connections, and for those whose file cannot be read, why."""
        good: list[Connection] = []
        bad: dict[str, MadangError] = {}
        for name in self.names():
            try:
                good.append(self.get(name))
            except MadangError as error:
                bad[name] = error
        return good, bad

    def want(self, name: str, wanted: Wanted) -> Connection:
        """Say whether a connection should run; a running runner follows."""
        return self.change(name, wanted=wanted)

    def change(
        self,
        name: str,
        *,
        wanted: Wanted | None = None,
        tags: Sequence[str] | None = None,
        options: Mapping[str, str] | None = None,
    ) -> Connection:
        """Change what may change after it was made; what is None stays.

        Raises:
            InputError: There is no such connection, or an option is not one of its kind.
        """
        found = self.get(name)
        if options is not None:
            _check_options(options, self.description(found.kind))
            found = replace(found, options={**found.options, **options})
        if tags is not None:
            found = replace(found, tags=tuple(dict.fromkeys(tags)))
        if wanted is not None:
            found = replace(found, wanted=wanted)
        self._write(found)
        return found

    def remove(self, name: str) -> None:
        """Forget a connection and its secrets. What it brought stays in the library, and what waits in its spool stays there.

        Raises:
            InputError: There is none of that name.
        """
        name = checked_name(name)
        file = self.folder / f"{name}.toml"
        if not file.is_file():
            raise self._none_such(name)
        file.unlink()
        self._secrets.forget(name)

    def settings(self, connection: Connection, given: Mapping[str, str] | None = None) -> ConnectionSettings:
        """Return what its source is made from, secrets looked up.

        Args:
            connection: The connection.
            given: Its secrets, where they are not kept yet.

        Raises:
            InputError: A secret is not where it should be.
        """
        if given is not None:
            looked_up = {
                key: remember(self._secrets.get(connection.name, key, value) if value.startswith(("env:", "file:")) else value)
                for key, value in given.items()
            }
        else:
            looked_up = {key: self._secrets.get(connection.name, key, place) for key, place in connection.secrets.items()}
        options = dict(connection.options)
        if "certificates" in self.description(connection.kind).options:
            options.setdefault("certificates", str(self._keys / connection.kind))
        return ConnectionSettings(
            connection.name, connection.kind, connection.url, options, looked_up, connection.tags, connection.zone
        )

    def spool(self, name: str) -> Path:
        """Return the folder of a connection's spool."""
        return self._spools / checked_name(name)

    def stamp(self) -> tuple[tuple[str, int, int], ...]:
        """Return something that changes whenever a connection is added, changed or removed."""
        if not self.folder.is_dir():
            return ()
        found = []
        for file in sorted(self.folder.glob("*.toml")):
            try:
                stat = file.stat()
            except OSError:
                continue
            found.append((file.name, stat.st_mtime_ns, stat.st_size))
        return tuple(found)

    def _write(self, connection: Connection) -> None:
        head: dict[str, Plain] = {"format": FORMAT, "kind": connection.kind, "url": connection.url, "wanted": connection.wanted}
        head |= {"dataset": connection.dataset or connection.name, "zone": connection.zone, "tags": connection.tags}
        head |= {"created": connection.created}
        policy: dict[str, Plain] = {"overflow": connection.overflow}
        if connection.max_bytes:
            policy["max_bytes"] = connection.max_bytes
        tables: dict[str, Mapping[str, Plain]] = {"policy": policy}
        tables |= {"options": dict(connection.options), "secrets": dict(connection.secrets)}
        write_private(self.folder / f"{connection.name}.toml", toml_text(head, tables, _COMMENT).encode())

    def _none_such(self, name: str) -> InputError:
        known = self.names()
        return InputError(
            "no_such_connection",
            ko=f"‘{name}’이라는 연결이 없어요. 있는 것: {', '.join(known) or '없음'}",
            en=f"There is no connection “{name}”. There are: {', '.join(known) or 'none'}",
            next_ko="madang connect status 로 볼 수 있어요.",
            next_en="See: madang connect status",
            where={"connection": name, "known": [*known]},
        )


def checked_name(name: str) -> str:
    """Return a connection's name in its one spelling.

    Raises:
        InputError: It is not one: it would lead out of its folder, or some system could not keep it as a file name.

    >>> checked_name("소성로 1-opcua")
    '소성로 1-opcua'
    """
    plain = unicodedata.normalize("NFC", name)
    if not _NAME.fullmatch(plain) or ".." in plain or _RESERVED.fullmatch(plain) or len(plain.encode()) > 200:
        raise InputError(
            "bad_name",
            ko="연결 이름은 글자나 숫자로 시작하고 끝나며, 그 사이에 글자·숫자·빈칸·- _ . 을 쓸 수 있어요 (64자까지).",
            en="A connection's name begins and ends with a letter or digit, with letters, digits, blanks, - _ . between (64 at most).",
            next_ko="kiln-opcua 나 소성로1 처럼 지어 주세요.",
            next_en="Name it like kiln-opcua.",
            where={"name": conceal(name[:80])},
        )
    return plain


def take_secrets_out(url: str) -> tuple[str, dict[str, str]]:
    """Return an address without its password, and the secrets that stood in it.

    >>> take_secrets_out("mqtt://kim:s3cret@broker:1883/?token=abc&qos=1")
    ('mqtt://kim@broker:1883/?qos=1', {'password': 's3cret', 'token': 'abc'})
    """
    hidden: dict[str, str] = {}
    try:
        parts = urlsplit(url)
    except ValueError:
        return url, hidden
    netloc = parts.netloc
    if "@" in netloc:
        user, _, host = netloc.rpartition("@")
        user, colon, password = user.partition(":")
        if colon and password:
            hidden["password"] = remember(unquote(password))
        netloc = f"{user}@{host}" if user else host
    query = parse_qsl(parts.query, keep_blank_values=True)
    secret = [(key, value) for key, value in query if _SECRET_WORDS.fullmatch(key)]
    if secret:
        hidden |= {key.lower(): remember(value) for key, value in secret if value}
        parts = parts._replace(query=urlencode([pair for pair in query if pair not in secret]))
    return (urlunsplit(parts._replace(netloc=netloc)) if hidden else url), hidden


def _takes_rows(description: SourceDescription | None) -> bool:
    """Whether a source hands over records: it takes one for kept then, and one that is dropped would be missing until it changes."""
    return description is not None and "rows" in description.capabilities


def _check_url(url: str, description: SourceDescription) -> None:
    problem = _url_problem(url, description)
    if problem is None:
        return
    example = description.url_example or (f"{description.schemes[0]}://host" if description.schemes else "")
    raise InputError(
        "bad_url",
        ko=f"주소가 맞지 않아요: {problem[0]}",
        en=f"The address does not fit: {problem[1]}",
        next_ko=f"--url {example} 처럼 주세요." if example else "--url 을 고쳐 주세요.",
        next_en=f"Give it like --url {example}" if example else "Correct --url.",
        where={"kind": description.kind, "schemes": [*description.schemes]},
    )


def _url_problem(url: str, description: SourceDescription) -> tuple[str, str] | None:
    if not description.schemes:
        return ("보이지 않는 글자가 있어요", "it holds control characters") if re.search(r"[\x00-\x1f\x7f]", url) else None
    if not url:
        return "비어 있어요", "it is empty"
    if re.search(r"[\x00-\x20\x7f]", url):
        return "빈칸이나 보이지 않는 글자가 있어요", "it holds blanks or control characters"
    try:
        parts = urlsplit(url)
        if parts.netloc and "@" in f"{parts.path}{parts.query}{parts.fragment}":
            # user:pass/word@host: what stands before the slash was taken for the host, and the rest would stay readable in the file.
            return (
                "호스트 뒤에 @ 가 있어요. 비밀번호의 / ? # @ 는 %2F %3F %23 %40 으로 적거나 --secret password 로 주세요",
                "it has an @ after the host; write / ? # @ of a password as %2F %3F %23 %40, or give it with --secret password",
            )
        port = parts.port
    except ValueError:
        return "포트나 호스트를 읽을 수 없어요", "its port or host cannot be read"
    if parts.scheme not in description.schemes:
        allowed = ", ".join(description.schemes)
        return f"{allowed} 가운데 하나로 시작해야 해요", f"it has to begin with one of {allowed}"
    if port == 0 or (not parts.hostname and parts.scheme not in ("file", "sqlite", "folder", "replay")):
        return "호스트나 포트가 없어요", "its host or port is missing"
    return None


def _check_options(options: Mapping[str, str], description: SourceDescription) -> None:
    for key, value in options.items():
        if not any(fnmatchcase(key, known) for known in description.options):
            raise _bad_value("option", key, (*description.options,))
        if re.search(r"[\x00-\x08\x0b-\x1f\x7f]", value) or len(value) > 1 << 16:
            raise _bad_value(key, "…", ("text without control characters",))


def _parsed(file: Path, name: str) -> Connection:
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _unreadable(file, conceal(str(error))) from error
    problem = _problem(document)
    if problem is not None:
        raise _unreadable(file, problem)
    url, hidden = take_secrets_out(document.get("url", ""))
    if hidden:
        raise _secret_in_file(file)
    policy = document.get("policy", {})
    return Connection(
        name,
        document["kind"],
        url,
        {key: str(value) for key, value in document.get("options", {}).items()},
        {key: str(value) for key, value in document.get("secrets", {}).items()},
        tuple(document.get("tags", ())),
        document.get("dataset", ""),
        document.get("zone") or "Asia/Seoul",
        document.get("wanted", "running"),
        policy.get("overflow", "block"),
        policy.get("max_bytes", 0),
        str(document.get("created", "")),
    )


def _problem(document: Mapping[str, Any]) -> str | None:
    """The first thing in a connection's file that is not as it should be."""
    policy, tags = document.get("policy", {}), document.get("tags", [])
    if document.get("format", FORMAT) != FORMAT:
        return f"format = {FORMAT}"
    if not isinstance(document.get("kind"), str):
        return "kind"
    if document.get("wanted", "running") not in ("running", "paused"):
        return "wanted: running, paused"
    if not isinstance(policy, dict) or policy.get("overflow", "block") not in POLICIES:
        return f"policy.overflow: {', '.join(POLICIES)}"
    if not isinstance(policy.get("max_bytes", 0), int) or policy.get("max_bytes", 0) < 0:
        return "policy.max_bytes"
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        return "tags"
    for key, kind in (("url", str), ("dataset", str), ("zone", str), ("options", dict), ("secrets", dict)):
        if not isinstance(document.get(key, kind()), kind):
            return key
    return None


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _bad_value(what: str, got: str, allowed: Sequence[str]) -> InputError:
    return InputError(
        "bad_option",
        ko=f"{what}: ‘{got}’은(는) 안 돼요. 되는 것: {', '.join(allowed) or '없음'}",
        en=f"{what}: “{got}” is not allowed. Allowed: {', '.join(allowed) or 'none'}",
        next_ko="madang connect kinds 에 종류마다 받는 설정이 있어요.",
        next_en="madang connect kinds shows the options of each kind.",
        where={"option": what, "allowed": [*allowed]},
    )


def _taken(name: str) -> InputError:
    return InputError(
        "connection_exists",
        ko=f"‘{name}’이라는 연결이 이미 있어요.",
        en=f"There already is a connection “{name}”.",
        next_ko=f"다른 이름을 쓰거나 먼저 madang connect remove {name} 를 하세요.",
        next_en=f"Use another name, or remove it first: madang connect remove {name}",
        where={"connection": name},
    )


def _busy(folder: Path) -> InputError:
    return InputError(
        "workspace_busy",
        ko="다른 프로그램이 연결을 바꾸는 중이에요.",
        en="Another program is changing the connections.",
        next_ko="잠시 뒤 다시 하세요.",
        next_en="Try again in a moment.",
        where={"folder": str(folder)},
        retry=True,
    )


def _unreadable(file: Path, what: str) -> InputError:
    return InputError(
        "connection_unreadable",
        ko=f"‘{file}’을(를) 읽을 수 없어요: {what}",
        en=f"“{file}” cannot be read: {what}",
        next_ko="파일을 고치거나, 지우고 madang connect add 로 다시 만드세요.",
        next_en="Correct the file, or delete it and make the connection again with madang connect add.",
        where={"file": str(file)},
    )


def _secret_in_file(file: Path) -> InputError:
    return InputError(
        "secret_in_plain_text",
        ko=f"‘{file}’의 url 에 비밀번호가 그대로 있어요.",
        en=f"The url in “{file}” holds a password in plain text.",
        next_ko='url 에서 지우고 [secrets] 아래에 password = "env:변수 이름" 으로 적으세요.',
        next_en='Take it out of url and write password = "env:VARIABLE" below [secrets].',
        where={"file": str(file)},
    )
