"""Verbs about people: accounts, roles, passwords and tokens."""

from typing import Annotated, Literal

import typer

from madang.cli._face import Face


def add(app: typer.Typer, face: Face) -> None:
    """Add the verbs to the tree."""
    t = face.text
    json_help = t("보고서를 쓸 JSON 파일 (-는 표준 출력)", "JSON file for the report (- is standard output)")
    quiet_help = t("사람에게 하는 말을 줄여요", "Say nothing to people")
    login_help = t("로그인 이름", "Log-in name")
    role_help = t(
        "역할: viewer 보기, operator 시작·멈춤·보내기, engineer 만들기·고치기, steward 모두, auditor 보기만, partner 공유된 것만",
        "Role: viewer looks, operator starts, pauses and pushes, engineer makes and changes, steward all, auditor only looks, partner sees what is shared",
    )

    people = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        help=t(
            "계정과 역할을 정해요. 첫 계정부터는 모두 로그인해야 해요.",
            "Accounts and roles. From the first account on, everybody logs in.",
        ),
    )
    app.add_typer(people, name="people")

    @people.command(
        "add",
        help=t(
            "계정을 만들어요. 비밀번호는 묻거나 표준 입력으로 받아요",
            "Make an account; the password is asked for, or read from standard input",
        ),
    )
    def add_(
        login: Annotated[str, typer.Argument(help=login_help)],
        role: Annotated[
            Literal["viewer", "operator", "engineer", "steward", "partner", "auditor"], typer.Option(help=role_help)
        ],
        name: Annotated[str | None, typer.Option(help=t("보여줄 이름", "Name to show"))] = None,
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._people import run_add

        face.hand_out(json, quiet)
        run_add(face, login, role, name)

    @people.command("list", help=t("계정 목록", "List the accounts"))
    def list_(
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._people import run_list

        face.hand_out(json, quiet)
        run_list(face)

    @people.command(
        help=t(
            "비밀번호를 바꿔요. 로그인해 있던 화면은 끝나요", "Change a password; whoever is logged in with it is logged out"
        )
    )
    def password(
        login: Annotated[str, typer.Argument(help=login_help)],
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._people import run_password

        face.hand_out(json, quiet)
        run_password(face, login)

    @people.command(
        "oidc-secret",
        help=t(
            "로그인 제공자가 준 비밀 값을 잠가 둬요. 묻거나 표준 입력으로 받아요",
            "Keep the secret for the log-in provider encrypted; it is asked for, or read from standard input",
        ),
    )
    def oidc_secret(
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._people import run_oidc_secret

        face.hand_out(json, quiet)
        run_oidc_secret(face)

    @people.command(help=t("역할을 바꿔요", "Change a role"))
    def role(
        login: Annotated[str, typer.Argument(help=login_help)],
        role: Annotated[
            Literal["viewer", "operator", "engineer", "steward", "partner", "auditor"], typer.Argument(help=role_help)
        ],
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._people import run_role

        face.hand_out(json, quiet)
        run_role(face, login, role)

    @people.command(
        help=t(
            "프로그램이 쓸 토큰을 만들거나 거둬요. 한 번만 보여줘요", "Make or revoke a token for a program; it is shown once"
        )
    )
    def token(
        login: Annotated[str, typer.Argument(help=login_help)],
        label: Annotated[str, typer.Option(help=t("어디에 쓰는지", "What it is for"))] = "program",
        days: Annotated[int, typer.Option(min=0, help=t("며칠 동안 (0은 끝없이)", "For how many days (0 = for ever)"))] = 365,
        revoke: Annotated[
            bool, typer.Option("--revoke", help=t("이 이름의 토큰을 거둬요", "Revoke the tokens of this label"))
        ] = False,
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._people import run_token

        face.hand_out(json, quiet)
        run_token(face, login, label, days=days, revoke=revoke)
