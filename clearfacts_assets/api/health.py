"""Whether this process is alive. What the systems around it do is the asset ``service_health``."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(tags=["health"])


class Liveness(BaseModel):
    """This process answers; nothing is said of any other."""

    status: Literal["alive"] = "alive"


@router.get("/healthz")
async def healthz() -> Liveness:
    """200 as long as the process can answer at all: for liveness probes."""
    return Liveness()
