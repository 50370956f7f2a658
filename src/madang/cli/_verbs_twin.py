"""Verbs about the twin."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from madang.cli._face import Face


def add(app: typer.Typer, face: Face) -> None:
    """Add the verbs to the tree."""
    t = face.text
    twin = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        help=t("공장을 대신하는 살아 있는 라인을 돌려요.", "Run the living line that stands for a plant."),
    )
    app.add_typer(twin, name="twin")

    @twin.callback()
    def root() -> None:
        """Keep the sub-verbs, although there is one."""

    @twin.command(
        help=t(
            "팩의 라인을 살아 있는 공장으로 돌려요: OPC UA, MQTT, MES, 시험실 폴더로 보여줘요.",
            "Run a pack's line as a living plant, shown over OPC UA, MQTT, a lot system and a laboratory's folder.",
        )
    )
    def run(
        line: Annotated[
            str, typer.Argument(help=t("팩 이름(cathode_firing)이나 line.toml", "Pack (cathode_firing) or a line.toml"))
        ],
        seed: Annotated[int, typer.Option(help=t("모든 무작위의 씨앗값", "Seed of everything random"))] = 1,
        hours: Annotated[
            float | None,
            typer.Option(
                help=t(
                    "공장 시간으로 몇 시간. 없으면 멈출 때까지(보여주는 곳이 없으면 24시간)",
                    "Hours of the plant; without it until stopped (24 when nothing shows it)",
                )
            ),
        ] = None,
        speed: Annotated[
            float | None,
            typer.Option(
                help=t(
                    "벽시계 1초에 공장 몇 초. 없으면 1(보여주는 곳이 없으면 되는 대로 빨리)",
                    "Seconds of the plant per second on the wall; without it 1 (as fast as it goes when nothing shows it)",
                )
            ),
        ] = None,
        scan: Annotated[
            float | None,
            typer.Option(
                help=t(
                    "공장 몇 초마다 읽은 값을 내보낼지. 없으면 벽시계 1초마다",
                    "Seconds of the plant between readings that are handed out; without it once a second on the wall",
                )
            ),
        ] = None,
        headless: Annotated[
            bool, typer.Option("--headless", help=t("진행 상황을 보여주지 않아요", "Show no progress while it runs"))
        ] = False,
        trouble: Annotated[
            str,
            typer.Option(
                help=t(
                    "고장 목록. 예: network_cut@10min+2min,stuck_sensor@300:kiln/zone5/temperature_bottom",
                    "Troubles, such as network_cut@10min+2min,stuck_sensor@300:kiln/zone5/temperature_bottom",
                )
            ),
        ] = "",
        policy: Annotated[
            Literal["fixed", "rules", "agents", "oracle"],
            typer.Option(help=t("누가 운전하는지. 지금은 fixed만 돼요", "Who runs it; only fixed is there today")),
        ] = "fixed",
        trace: Annotated[
            Path | None,
            typer.Option(help=t("1초마다의 모든 상태를 쓸 Parquet 파일", "Parquet file for every state of each second")),
        ] = None,
        opcua: Annotated[
            int | None,
            typer.Option(help=t("OPC UA 서버의 포트 (0은 빈 포트)", "Port of an OPC UA server (0 takes a free one)")),
        ] = None,
        host: Annotated[
            str, typer.Option(help=t("OPC UA 서버가 들을 주소", "Address the OPC UA server listens on"))
        ] = "127.0.0.1",
        mqtt: Annotated[
            str | None,
            typer.Option(help=t("보낼 MQTT 브로커. 예: mqtt://127.0.0.1:1883", "MQTT broker, as mqtt://127.0.0.1:1883")),
        ] = None,
        sparkplug: Annotated[
            str | None,
            typer.Option(
                help=t(
                    "Sparkplug B 엣지 노드로 보낼 브로커. 예: mqtt://127.0.0.1:1883",
                    "Broker for a Sparkplug B edge node, as mqtt://127.0.0.1:1883",
                )
            ),
        ] = None,
        mes: Annotated[
            str | None,
            typer.Option(
                help=t(
                    "MES를 쓸 폴더(SQLite)나 데이터베이스 주소", "Folder for the lot system (SQLite) or a database's address"
                )
            ),
        ] = None,
        lab: Annotated[
            Path | None, typer.Option(help=t("시험 성적서를 떨굴 폴더", "Folder where the laboratory drops workbooks"))
        ] = None,
        ready: Annotated[
            Path | None, typer.Option(help=t("공장이 보이기 시작하면 쓸 파일", "File written once the plant can be seen"))
        ] = None,
        with_parent: Annotated[
            bool,
            typer.Option(
                "--with-parent", help=t("시작한 프로세스가 끝나면 같이 멈춰요", "Stop when the process that started it ends")
            ),
        ] = False,
        json: Annotated[
            str | None,
            typer.Option(
                "--json", help=t("보고서를 쓸 JSON 파일 (-는 표준 출력)", "JSON file for the report (- is standard output)")
            ),
        ] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=t("사람에게 하는 말을 줄여요", "Say nothing to people"))] = False,
    ) -> None:
        from madang.cli._twin import TwinRequest, run_twin

        face.hand_out(json, quiet)
        run_twin(
            face,
            TwinRequest(
                line=line, seed=seed, hours=hours, speed=speed, scan=scan, headless=headless, trouble=trouble, policy=policy,
                trace=trace, opcua=opcua, host=host, mqtt=mqtt, sparkplug=sparkplug, mes=mes, lab=lab, ready=ready, with_parent=with_parent,
            ),
        )  # fmt: skip
