"""The image as it would run in a cluster: as its own user, with a root that cannot be written, on memory of its own.

``pytest clearfacts_assets_tests/integration/test_image.py --image FOLDER``, as root, on the unpacked root of an image,
whatever unpacked it: `buildah mount`, or `docker export CONTAINER | tar -x -C FOLDER`.
"""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from clearfacts_assets_tests.fixtures.chargeback import ADA, row, write
from clearfacts_assets_tests.fixtures.statements import words

pytestmark = pytest.mark.image

PROJECT = Path(__file__).resolve().parents[2]
USER = "10001:10001"
START_SECONDS = 300
# In a mount namespace of its own, which ends with the command: the root read-only, two folders of ours in it.
ENTER = """
mount --bind "$1" "$1"
mount -o remount,ro,bind "$1"
mount --bind "$2/tmp" "$1/tmp"
mount --bind "$2/home" "$1/var/lib/clearfacts"
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
root=$1; shift 2
exec chroot --userspec USER "$root" "$@"
""".replace("USER", USER)


@dataclass(frozen=True)
class Image:
    """The image's root, and the folder on this machine that holds what its programs write."""

    root: Path
    folder: Path

    def command(self, *words: str) -> list[str]:
        """The command in the image, with the environment that the image gives."""
        said = "env", "-i", *environment()
        return ["unshare", "--mount", "sh", "-ec", ENTER, "sh", str(self.root), str(self.folder), *said, *words]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*words), capture_output=True, text=True, check=False)


@pytest.fixture
def image(request: pytest.FixtureRequest, tmp_path: Path) -> Image:
    for name in ("home", "tmp"):
        (tmp_path / name).mkdir()
        os.chown(tmp_path / name, *map(int, USER.split(":")))
    return Image(request.config.getoption("--image").resolve(), tmp_path)


def environment() -> list[str]:
    """What the Dockerfile says with its last ENV."""
    *_, said = re.findall(r"^ENV ((?:.*\\\n)*.*)$", (PROJECT / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)
    return [one.replace("$PATH", "/usr/bin:/bin") for one in shlex.split(said.replace("\\\n", " "))]


def test_it_runs_as_its_own_user_and_cannot_write_its_root(image: Image) -> None:
    assert image.run("sh", "-c", 'echo "$(id -u):$(id -g)"').stdout.strip() == USER
    for place in ("/opt/clearfacts/x", "/etc/x", "/x"):
        refused = image.run("touch", place)
        assert (refused.returncode, "Read-only file system" in refused.stderr) == (1, True), place


@pytest.fixture
def served(image: Image) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The web server on a new database, and its process."""
    upgraded = image.run("clearfacts", "db", "upgrade")
    assert upgraded.returncode == 0, upgraded.stderr
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = image.command("clearfacts", "serve", "--host", "127.0.0.1", "--port", str(port))
    with (image.folder / "served.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    while not answers(f"{address}/healthz"):
        assert process.poll() is None, (image.folder / "served.log").read_text("utf-8")
        time.sleep(0.2)
    yield address, process
    process.kill()


def answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=START_SECONDS).is_success
    except httpx.TransportError:
        return False


@pytest.mark.timeout(START_SECONDS)
def test_it_serves_tells_what_it_lacks_and_ends_when_told(served: tuple[str, subprocess.Popen[bytes]]) -> None:
    address, process = served
    asked = httpx.Client(base_url=address, timeout=START_SECONDS)
    assert asked.get("/healthz").status_code == 200
    assert asked.get("/readyz", params={"only": "database"}).status_code == 200
    ready = asked.get("/readyz")
    lacking = {one["name"]: one["ready"] for one in ready.json()["checks"]}
    assert (ready.status_code, lacking["database"], lacking["daemon"]) == (503, True, False)
    assert asked.get("/login").status_code == 200
    process.terminate()
    process.wait(timeout=START_SECONDS)


@pytest.mark.timeout(START_SECONDS)
def test_a_statement_has_the_characters_of_its_reader(image: Image) -> None:
    write(image.folder / "tmp" / "aws_2025-03.csv", [row(BilledCost="12.34")])
    for words_of_it in (
        "db upgrade",
        "chargeback ingest /tmp/aws_2025-03.csv -s aws -p 2025-03",
        f"chargeback investigators add {ADA['pi_email']} --name '李雷 김철수'",
        "chargeback periods close 2025-03",
    ):
        done = image.run("clearfacts", *shlex.split(words_of_it))
        assert done.returncode == 0, done.stdout + done.stderr
    made = image.run("clearfacts", "chargeback", "generate", "-p", "2025-03", "-o", "/tmp/out")
    assert (made.returncode, "no font has" in made.stdout) == (0, False), made.stdout + made.stderr
    (pdf,) = (image.folder / "tmp" / "out").glob("*.pdf")
    assert "李雷 김철수" in words(pdf.read_bytes())
