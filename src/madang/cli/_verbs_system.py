"""Verbs about the installation: demo, serve, doctor."""

from pathlib import Path
from typing import Annotated

import typer

from madang.cli._face import Face


def add(app: typer.Typer, face: Face) -> None:
    """Add the verbs to the tree."""
    t = face.text
    json_help = t("보고서를 쓸 JSON 파일 (-는 표준 출력)", "JSON file for the report (- is standard output)")
    quiet_help = t("사람에게 하는 말을 줄여요", "Say nothing to people")

    @app.command(
        help=t(
            "내장 라인(양극재 소성로)으로 처음부터 끝까지 보여줘요.",
            "Show the whole way on the built-in line, a cathode firing kiln.",
        )
    )
    def demo(
        data: Annotated[
            list[Path] | None,
            typer.Option(
                "--data",
                help=t(
                    "내장 라인 대신 쓸 내 파일이나 폴더 (여러 번 가능)", "Your own file or folder instead (may be repeated)"
                ),
            ),
        ] = None,
        more: Annotated[
            list[Path] | None, typer.Argument(help=t("--data 뒤에 이어지는 파일들", "More files after --data"))
        ] = None,
        target: Annotated[str | None, typer.Option(help=t("알고 싶은 품질 열", "The column to explain"))] = None,
        seed: Annotated[int, typer.Option(help=t("내장 라인을 만드는 씨앗값", "Seed of the built-in line"))] = 1,
        headless: Annotated[
            bool,
            typer.Option(
                "--headless", help=t("브라우저와 서버 없이 판단까지만", "No browser and no server: stop at the verdict")
            ),
        ] = False,
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._demo import run_demo

        face.hand_out(json, quiet)
        run_demo(face, [*(data or []), *(more or [])], target=target, seed=seed, headless=headless)

    @app.command(help=t("콘솔과 API를 이 컴퓨터에서 열어요.", "Open the console and the API on this computer."))
    def serve(
        host: Annotated[str, typer.Option(help=t("들을 주소", "Address to listen on"))] = "127.0.0.1",
        port: Annotated[int, typer.Option(help=t("포트 (0은 빈 포트)", "Port (0 takes a free one)"))] = 0,
        ready: Annotated[
            Path | None, typer.Option(help=t("응답할 준비가 되면 쓸 파일", "File written when it answers"))
        ] = None,
        browser: Annotated[bool, typer.Option("--browser", help=t("브라우저도 열어요", "Open a browser too"))] = False,
        name: Annotated[
            list[str] | None,
            typer.Option(
                "--name",
                help=t(
                    "다른 컴퓨터가 부르는 이름 (여러 번 가능)", "Host name by which other machines call it (may be repeated)"
                ),
            ),
        ] = None,
        no_connect: Annotated[
            bool,
            typer.Option(
                "--no-connect",
                help=t("연결은 따로 켠 madang connect run 에 맡겨요", "Leave the connections to a separate madang connect run"),
            ),
        ] = False,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.api import serve as run_server
        from madang.workspace import Workspace

        face.quiet = quiet
        with Workspace.open(face.workspace) as workspace:
            run_server(
                workspace,
                host=host,
                port=port,
                ready=ready,
                open_browser=browser,
                connect=not no_connect,
                names=name or (),
                say=lambda url: face.say(face.text(f"콘솔: {url}  (멈추려면 Ctrl+C)", f"Console: {url}  (Ctrl+C stops it)")),
            )

    @app.command(help=t("이 컴퓨터에서 무엇이 되고 안 되는지 살펴봐요.", "Say what works on this computer and what does not."))
    def doctor(
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._doctor import examine

        face.hand_out(json, quiet)
        checks = examine(face.workspace)
        for check in checks:
            mark = {"well": "✓", "limited": "·", "failed": "✗"}[check.state]
            face.say(f"{mark} {face.text(check.text.ko, check.text.en)}")
        face.document("doctor/1", {"checks": [check.fields() for check in checks]})
        face.exit_code = 5 if any(check.state == "failed" for check in checks) else 0
