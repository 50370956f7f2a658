"""What the verbs about people do: one call to the library's people, then sentences and the document."""

from __future__ import annotations

import getpass
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

from madang.cli._face import Face
from madang.errors import InputError, RefusedError
from madang.workspace import Workspace

if TYPE_CHECKING:
    from madang.library._people import RoleName


def run_add(face: Face, login: str, role: RoleName, name: str | None) -> None:
    """Make an account with its role."""
    with Workspace.open(face.workspace) as workspace:
        people = workspace.library.people
        first = not people.has_accounts()
        if first and role != "steward":
            raise RefusedError(
                "first_is_steward",
                ko="첫 계정은 steward 여야 해요. 아니면 아무도 다른 계정을 돌볼 수 없어요.",
                en="The first account has to be a steward's, or nobody could look after the others.",
                next_ko=f"madang people add {login} --role steward",
                next_en=f"madang people add {login} --role steward",
                where={"login": login},
            )
        if any(account["login"] == login for account in people.accounts()):
            raise InputError(
                "login_exists",
                ko=f"‘{login}’은(는) 이미 쓰이고 있어요.",
                en=f"“{login}” is already in use.",
                next_ko="다른 이름을 쓰거나 madang people role 로 역할을 바꾸세요.",
                next_en="Use another name, or change the role with madang people role.",
                where={"login": login},
            )
        secret = _password(face)
        if login not in {str(party["id"]) for party in people.parties()}:
            people.add_party(login, name or login)
        # The role first: an account whose role could not be kept would be a viewer's by chance.
        people.give_role(login, role)
        people.add_account(login, login, secret)
    face.say(face.text(f"{login} 계정을 만들었어요 ({role}).", f"Made the account {login} ({role})."))
    if first:
        face.say(
            face.text(
                "이제부터는 이 컴퓨터에서도 로그인해야 콘솔과 API를 쓸 수 있어요.",
                "From now on the console and the API ask for a log-in, on this computer too.",
            )
        )
    face.document("person/1", {"login": login, "name": name or login, "role": role, "first": first})


def run_list(face: Face) -> None:
    """List the accounts."""
    with Workspace.open(face.workspace) as workspace:
        accounts = workspace.library.people.accounts()
    for account in accounts:
        face.say(f"{account['login']}  {account['role']}  {account['name']}")
    if not accounts:
        face.say(
            face.text(
                "계정이 없어요. 이 컴퓨터에서는 누구나 쓸 수 있고, 다른 컴퓨터에는 열리지 않아요.",
                "There are no accounts: everybody on this computer may use it, and it does not open to others.",
            )
        )
    face.document("people/1", {"people": accounts})


def run_password(face: Face, login: str) -> None:
    """Change a password."""
    with Workspace.open(face.workspace) as workspace:
        _known(workspace, login)
        workspace.library.people.set_password(login, _password(face))
    face.say(face.text(f"{login}의 비밀번호를 바꿨어요.", f"Changed the password of {login}."))
    face.document("person-password/1", {"login": login, "changed": True})


def run_oidc_secret(face: Face) -> None:
    """Keep the secret for the log-in provider."""
    from madang.workspace._oidc import KEPT, keep_client_secret

    with Workspace.open(face.workspace) as workspace:
        if sys.stdin is not None and sys.stdin.isatty():
            value = getpass.getpass(face.text("제공자가 준 비밀 값: ", "Secret from the provider: "))
        else:
            value = (sys.stdin.readline() if sys.stdin is not None else "").rstrip("\r\n")
        keep_client_secret(workspace.secrets, value)
    face.say(
        face.text(
            f'잠가 뒀어요. workspace.toml 의 [oidc] 에 client_secret = "{KEPT}" 라고 적으세요.',
            f'Kept. Write client_secret = "{KEPT}" into [oidc] of workspace.toml.',
        )
    )
    face.document("oidc-secret/1", {"kept": True, "reference": KEPT})


def run_role(face: Face, login: str, role: RoleName) -> None:
    """Change a role; the last steward stays one."""
    with Workspace.open(face.workspace) as workspace:
        account = _known(workspace, login)
        people = workspace.library.people
        stewards = [each for each in people.accounts() if each["role"] == "steward"]
        if role != "steward" and [each["login"] for each in stewards] == [login]:
            raise RefusedError(
                "last_steward",
                ko="마지막 steward 의 역할은 바꿀 수 없어요.",
                en="The last steward keeps the role.",
                next_ko="먼저 다른 사람을 steward 로 만드세요.",
                next_en="Make somebody else a steward first.",
                where={"login": login},
            )
        people.give_role(str(account["party"]), role)
    face.say(face.text(f"{login}의 역할은 이제 {role} 이에요.", f"{login} is {role} now."))
    face.document("person/1", {"login": login, "name": account["name"], "role": role, "first": False})


def run_token(face: Face, login: str, label: str, *, days: int, revoke: bool) -> None:
    """Make or revoke a token."""
    with Workspace.open(face.workspace) as workspace:
        _known(workspace, login)
        people = workspace.library.people
        if revoke:
            count = people.revoke_tokens(login, label)
            face.say(face.text(f"토큰 {count}개를 거뒀어요.", f"Revoked {count} tokens."))
            face.document("token/1", {"login": login, "label": label, "revoked": count, "token": None})
            return
        token = people.add_token(login, label, valid=timedelta(days=days) if days else None)
    face.say(
        face.text("토큰은 지금 한 번만 보여줘요. 잘 적어 두세요:", "The token is shown this once; keep it safe:"),
        token if face.json_target is None else "",
    )
    face.document("token/1", {"login": login, "label": label, "revoked": 0, "token": token})


def _known(workspace: Workspace, login: str) -> dict[str, object]:
    for account in workspace.library.people.accounts():
        if account["login"] == login:
            return dict(account)
    raise InputError(
        "no_such_account",
        ko=f"‘{login}’이라는 계정이 없어요.",
        en=f"There is no account “{login}”.",
        next_ko="madang people list 로 볼 수 있어요.",
        next_en="See: madang people list",
        where={"login": login},
    )


def _password(face: Face) -> str:
    if sys.stdin is not None and sys.stdin.isatty():
        first = getpass.getpass(face.text("새 비밀번호 (열 자 이상): ", "New password (ten characters at least): "))
        again = getpass.getpass(face.text("한 번 더: ", "Once more: "))
        if first != again:
            raise InputError(
                "passwords_differ",
                ko="두 번 적은 비밀번호가 달라요.",
                en="The two passwords differ.",
                next_ko="다시 해 주세요.",
                next_en="Try again.",
            )
        return first
    return (sys.stdin.readline() if sys.stdin is not None else "").rstrip("\r\n")
