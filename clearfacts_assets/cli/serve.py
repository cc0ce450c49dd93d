"""``clearfacts serve``: API, desk and Dagster's UI in one process, on one port."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clearfacts_assets.cli.console import fail

if TYPE_CHECKING:  # reading the settings' classes takes time that --help need not wait for
    from clearfacts_assets.settings import Settings


def serve(
    host: Annotated[str | None, typer.Option(help="address to listen on; default: setting serve.host")] = None,
    port: Annotated[int | None, typer.Option(help="port; default: setting serve.port")] = None,
    listen_fd: Annotated[
        int | None, typer.Option(help="an inherited socket that listens already, by its file descriptor")
    ] = None,
) -> None:
    """Serve Dagster's UI, the desk and the API. Runs are started by `clearfacts daemon`, beside it."""
    inherited = None if listen_fd is None else [_listening(listen_fd)]  # before the seconds that the imports take
    import uvicorn
    from dagster import DagsterInstance

    from clearfacts_assets.api.app import create_app, settle
    from clearfacts_assets.api.connections import BoundedConnection
    from clearfacts_assets.cli.startup import ready
    from clearfacts_assets.desk.routes import ROUTES
    from clearfacts_assets.orchestration.dagster_internals import WorkspaceFileTarget, WorkspaceProcessContext
    from clearfacts_assets.telemetry.lines import joined

    configured = ready()
    if configured.log_format == "json":
        joined()  # Dagster's code server and uvicorn write beside us
    with (
        DagsterInstance.get() as instance,
        WorkspaceProcessContext(
            instance,
            workspace_load_target=WorkspaceFileTarget(paths=[str(workspace_file(configured))]),
            version="",
            read_only=False,
        ) as workspace,
    ):
        instance.optimize_for_webserver(statement_timeout=5000, pool_recycle=3600, max_overflow=20)
        app = create_app(workspace, pages_beside=ROUTES)
        settle()
        web = uvicorn.Config(
            app,
            http=BoundedConnection,
            host=host or configured.serve.host,
            port=port if port is not None else configured.serve.port,
            log_level="warning",
            server_header=False,
            proxy_headers=bool(configured.serve.trusted_proxies),
            forwarded_allow_ips=configured.serve.trusted_proxies or None,
        )
        with suppress(KeyboardInterrupt):  # uvicorn raises it once more, after it has closed everything
            uvicorn.Server(web).run(sockets=inherited)


def _listening(descriptor: int) -> socket.socket:
    try:
        inherited = socket.socket(fileno=descriptor)
        listens = bool(inherited.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        listens = False
    if not listens:
        fail(f"--listen-fd {descriptor}: no socket that listens was inherited by this number", code=2)
    return inherited


def workspace_file(configured: Settings) -> Path:
    """Which of Dagster's workspace.yaml says where the definitions are loaded: the one that is set, else our own."""
    from clearfacts_assets.home import packaged

    return configured.serve.workspace or packaged("workspace.yaml")
