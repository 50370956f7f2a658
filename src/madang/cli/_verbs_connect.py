"""Verbs about connections: make, try, start, watch and run them."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from madang.cli._face import Face


def add(app: typer.Typer, face: Face) -> None:
    """Add the verbs to the tree."""
    t = face.text
    json_help = t("보고서를 쓸 JSON 파일 (-는 표준 출력)", "JSON file for the report (- is standard output)")
    quiet_help = t("사람에게 하는 말을 줄여요", "Say nothing to people")
    name_help = t("연결 이름", "Name of the connection")

    connect = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        help=t(
            "설비, 브로커, 데이터베이스, 폴더를 살아 있는 데이터로 이어요.",
            "Connect machines, brokers, databases and folders as living data.",
        ),
    )
    app.add_typer(connect, name="connect")

    @connect.command(help=t("연결할 수 있는 종류와 설정을 보여줘요", "Show the kinds of connections and their options"))
    def kinds(
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._connect import run_kinds

        face.hand_out(json, quiet)
        run_kinds(face)

    @connect.command(
        "add", help=t("연결을 만들어요. 비밀번호는 잠긴 상자에 따로 둬요", "Make a connection; secrets go into a locked box")
    )
    def add_(
        name: Annotated[str, typer.Argument(help=name_help)],
        kind: Annotated[str, typer.Option(help=t("종류 (connect kinds 참고)", "Kind (see connect kinds)"))],
        url: Annotated[str, typer.Option(help=t("주소, 폴더 연결은 폴더", "Address; for a folder, its path"))] = "",
        set_: Annotated[
            list[str] | None,
            typer.Option("--set", help=t("설정 이름=값 (여러 번 가능)", "Option NAME=VALUE (may be repeated)")),
        ] = None,
        secret: Annotated[
            list[str] | None,
            typer.Option(
                "--secret",
                help=t(
                    "비밀 값: 이름=env:변수, 이름=file:경로, 또는 이름만 (묻거나 표준 입력 한 줄로 받아요)",
                    "Secret: NAME=env:VARIABLE, NAME=file:PATH, or NAME alone (asked for, or a line of standard input)",
                ),
            ),
        ] = None,
        tag: Annotated[
            list[str] | None,
            typer.Option(
                "--tag", help=t("받을 태그 (여러 번 가능, 없으면 모두)", "Tag to take (may be repeated; all without it)")
            ),
        ] = None,
        dataset: Annotated[str | None, typer.Option(help=t("채울 데이터셋 이름", "Dataset that it fills"))] = None,
        overflow: Annotated[
            Literal["block", "drop_oldest", "thin"],
            typer.Option(
                help=t(
                    "스풀이 가득 차면: 기다림, 오래된 것 버림(기록), 솎음(기록)",
                    "When the spool is full: wait, drop the oldest (noted), or thin (noted)",
                )
            ),
        ] = "block",
        max_bytes: Annotated[
            int, typer.Option(help=t("스풀이 쓸 바이트 (0은 기본값)", "Bytes that the spool may take (0 = its own limit)"))
        ] = 0,
        paused: Annotated[
            bool, typer.Option("--paused", help=t("만들기만 하고 시작하지 않아요", "Make it without starting it"))
        ] = False,
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._connect import run_add

        face.hand_out(json, quiet)
        run_add(
            face,
            name,
            kind,
            url,
            settings=set_ or [],
            secrets=secret or [],
            tags=tag or [],
            dataset=dataset,
            overflow=overflow,
            max_bytes=max_bytes,
            paused=paused,
        )

    @connect.command(
        help=t(
            "연결을 차례로 시험하고 어디서 막히는지 말해요 (막히면 코드 5)",
            "Try a connection step by step and say where it fails (then exit 5)",
        )
    )
    def test(
        name: Annotated[str, typer.Argument(help=name_help)],
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._connect import run_test

        face.hand_out(json, quiet)
        run_test(face, name)

    @connect.command(help=t("상대의 태그를 둘러봐요", "Look around in the tags of the peer"))
    def browse(
        name: Annotated[str, typer.Argument(help=name_help)],
        under: Annotated[str, typer.Option(help=t("이 경로 아래만", "Only below this path"))] = "",
        limit: Annotated[int, typer.Option(min=1, max=100_000, help=t("몇 개까지", "How many at most"))] = 200,
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._connect import run_browse

        face.hand_out(json, quiet)
        run_browse(face, name, under, limit)

    @connect.command(help=t("상대가 보여준 인증서를 믿기로 해요", "Trust a certificate that the peer has shown"))
    def trust(
        name: Annotated[str, typer.Argument(help=name_help)],
        thumbprint: Annotated[
            str, typer.Argument(help=t("connect test 가 보여준 지문", "Thumbprint, as connect test shows it"))
        ],
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._connect import run_trust

        face.hand_out(json, quiet)
        run_trust(face, name, thumbprint)

    @connect.command(help=t("연결을 시작하게 해요", "Let a connection run"))
    def start(
        name: Annotated[str, typer.Argument(help=name_help)],
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._connect import run_want

        face.hand_out(json, quiet)
        run_want(face, name, "running")

    @connect.command(
        help=t("연결을 멈춰 둬요. 그동안은 빈 구간으로 기록돼요", "Pause a connection; the time is noted as a gap")
    )
    def pause(
        name: Annotated[str, typer.Argument(help=name_help)],
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._connect import run_want

        face.hand_out(json, quiet)
        run_want(face, name, "paused")

    @connect.command(help=t("연결을 지워요. 받은 데이터는 그대로 남아요", "Remove a connection; the data it brought stay"))
    def remove(
        name: Annotated[str, typer.Argument(help=name_help)],
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._connect import run_remove

        face.hand_out(json, quiet)
        run_remove(face, name)

    @connect.command(help=t("연결마다 지금 어떤지 보여줘요", "Show how each connection is"))
    def status(
        name: Annotated[str | None, typer.Argument(help=name_help)] = None,
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._connect import run_status

        face.hand_out(json, quiet)
        run_status(face, name)

    @connect.command(help=t("받지 못한 구간을 보여줘요", "Show the intervals that were not got"))
    def gaps(
        name: Annotated[str | None, typer.Argument(help=name_help)] = None,
        cause: Annotated[str | None, typer.Option(help=t("이 까닭만", "Of this cause only"))] = None,
        open_: Annotated[bool, typer.Option("--open", help=t("아직 이어지는 것만", "Only those that go on"))] = False,
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._connect import run_gaps

        face.hand_out(json, quiet)
        run_gaps(face, name, cause, open_only=open_)

    @connect.command(
        help=t("연결들을 돌려요. 멈추면 받은 것은 모두 남아 있어요", "Run the connections; stopping loses nothing")
    )
    def run(
        until: Annotated[
            str | None,
            typer.Option(
                help=t("이 때까지: 2026-05-30T18:00:00Z 나 10min", "Until then: 2026-05-30T18:00:00Z, or 10min from now")
            ),
        ] = None,
        idle: Annotated[
            str | None,
            typer.Option(help=t("이만큼 새 값이 없으면 끝내요: 10s", "End when nothing has come for so long: 10s")),
        ] = None,
        ready: Annotated[Path | None, typer.Option(help=t("돌기 시작하면 쓸 파일", "File written once it runs"))] = None,
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._connect import run_run

        face.hand_out(json, quiet)
        run_run(face, until=until, idle=idle, ready=ready)
