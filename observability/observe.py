"""``make observe``: the demo with Prometheus and AlertManager beside it, where they are installed.

The alerts go to the demo's simulated Slack. What is missing is said, and the demo runs without it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import yaml

from clearfacts_assets import settings

HERE = Path(__file__).parent
PROGRAMS = {
    "prometheus": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
}  # command -> package of Debian's
PROMETHEUS, ALERTMANAGER = 9090, 9093  # their usual ports


def configure(
    folder: Path, *, target: str, alertmanager: str = f"localhost:{ALERTMANAGER}", at_once: bool = False
) -> None:
    """Our own configuration for an API at ``target`` (host:port) that opens /metrics to the network.

    ``at_once`` makes every rule fire as soon as it holds, and looks every second: for trying it out.
    """
    scraped: dict[str, Any] = yaml.safe_load((HERE / "prometheus.yml").read_text(encoding="utf-8"))
    scraped["scrape_configs"][0].pop("authorization")
    scraped["scrape_configs"][0]["static_configs"] = [{"targets": [target]}]
    scraped["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [alertmanager]}]}]
    rules: dict[str, Any] = yaml.safe_load((HERE / "rules.yml").read_text(encoding="utf-8"))
    if at_once:
        scraped["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        for group in rules["groups"]:
            for rule in group["rules"]:
                rule["for"] = "0s"
    (folder / "prometheus.yml").write_text(yaml.safe_dump(scraped), encoding="utf-8")
    (folder / "rules.yml").write_text(yaml.safe_dump(rules), encoding="utf-8")


def route_to(
    folder: Path, *, slack: str, token: str, mail: dict[str, Any] | None = None, at_once: bool = False
) -> None:
    """AlertManager's configuration with another Slack and another mail server; without one nothing is mailed."""
    routed: dict[str, Any] = yaml.safe_load((HERE / "alertmanager.yml").read_text(encoding="utf-8"))
    routed["global"] = {"slack_api_url": slack}
    for receiver in routed["receivers"]:
        for one in receiver["slack_configs"]:
            one["http_config"] = {"authorization": {"credentials": token}}
        if mail is None:
            receiver.pop("email_configs", None)
        for one in receiver.get("email_configs", []):
            one.update(mail)
    if at_once:
        routed["route"] |= {"group_wait": "0s", "group_interval": "1s"}
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(routed), encoding="utf-8")


def start_prometheus(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """A Prometheus that keeps its data in the folder."""
    return _start(
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{port}",
        log=folder / "prometheus.log",
    )


def start_alertmanager(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """An AlertManager by itself, without a cluster."""
    return _start(
        "prometheus-alertmanager",
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        log=folder / "alertmanager.log",
    )


def _start(*command: str, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as out:
        return subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)  # noqa: S603 - no shell


def main(arguments: list[str]) -> int:
    """Run until Ctrl-C. Returns the demo's exit code."""
    missing = [package for command, package in PROGRAMS.items() if shutil.which(command) is None]
    for package in missing:
        _say(f"{package} is not installed; the demo runs without it (Debian: apt-get install {package})")
    port = int(arguments[arguments.index("--port") + 1]) if "--port" in arguments else settings.load().serve.port
    environment = os.environ | {"CLEARFACTS_SERVE__PUBLIC_METRICS": "true"}
    demo = subprocess.Popen([Path(sys.executable).parent / "clearfacts", "demo", *arguments], env=environment)  # noqa: S603 - our own
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    started: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory(prefix="clearfacts-observe-") as name:
        try:
            _wait_for(f"http://127.0.0.1:{port}/healthz", demo)
            started += _beside(Path(name), port, missing)
            return demo.wait()
        except KeyboardInterrupt:
            demo.send_signal(signal.SIGINT)
            return demo.wait()
        finally:
            for process in started:
                process.terminate()
                process.wait()


def _beside(folder: Path, port: int, missing: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """What is installed, started."""
    if "prometheus-alertmanager" not in missing:
        slack = _simulated_slack()
        route_to(
            folder,
            slack=f"{slack['CLEARFACTS_SLACK__BASE_URL']}chat.postMessage",
            token=slack["CLEARFACTS_SLACK__TOKEN"],
        )
        yield start_alertmanager(folder, ALERTMANAGER)
        _say(f"AlertManager  http://127.0.0.1:{ALERTMANAGER}, which tells the simulated Slack")
    if "prometheus" not in missing:
        configure(folder, target=f"127.0.0.1:{port}")
        yield start_prometheus(folder, PROMETHEUS)
        _say(f"Prometheus    http://127.0.0.1:{PROMETHEUS}/alerts")


def _simulated_slack() -> dict[str, str]:
    """The environment that the demo's simulator announced in the first line of its log."""
    log = settings.load().home / "logs" / "simulator.log"
    announced: dict[str, str] = json.loads(log.read_text(encoding="utf-8").partition("\n")[0])["environment"]
    return announced


def _wait_for(url: str, demo: subprocess.Popen[bytes]) -> None:
    while demo.poll() is None:
        try:
            httpx.get(url, timeout=2, trust_env=False).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.5)
        else:
            return


def _say(text: str) -> None:
    sys.stdout.write(f"observe: {text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
