"""``make inventory``: what the chart makes in each environment, as the table in docs/deploying.md.

Also how anything of this project renders the chart: with the helm that ``make chart-tools`` brought.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pin import values

PROJECT = Path(__file__).resolve().parents[1]
PROGRAM = PROJECT / ".venv" / "helm" / "helm"
CHART = PROJECT / "helm" / "clearfacts"
VALUES = PROJECT / "helm-values"
ENVIRONMENTS = ("development", "staging", "production")
DOCUMENT = PROJECT / "docs" / "deploying.md"
BEGIN, END = "<!-- inventory -->", "<!-- end of inventory -->"
ARROWS_BEGIN, ARROWS_END = "<!-- arrows -->", "<!-- end of arrows -->"

_SAFE = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's reader is much the quicker one, where there is one

Object = dict[str, Any]


class RenderingFailed(Exception):
    """What helm said."""


def rendered(
    environment: str, images: Path, *options: str, namespace: str = "clearfacts-system", kubernetes: str = "1.36"
) -> list[Object]:
    """Every object of one environment, in helm's order, with ``images`` as the last file of values.

    Raises RenderingFailed with helm's message, which names the value that is wrong.
    """
    files = [VALUES / "common.yaml", VALUES / f"{environment}.yaml", images]
    command = [str(PROGRAM), "template", "clearfacts", str(CHART), "--namespace", namespace]
    command += [part for file in files for part in ("--values", str(file))]
    done = subprocess.run(
        [*command, "--kube-version", kubernetes, *options], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RenderingFailed("\n".join(line for line in done.stderr.splitlines() if not line.startswith("level=INFO")))
    return [one for one in yaml.load_all(done.stdout, Loader=_SAFE) if one]


def table(environments: Mapping[str, Iterable[Object]]) -> str:
    """One row an object, one column an environment: what of it matters, or a dash where it is not there."""
    cells: dict[tuple[str, str, str], dict[str, str]] = {}
    for environment, objects in environments.items():
        for one in objects:
            if one["kind"] == "Namespace":  # applied before, by hand
                continue
            name = "clearfacts-dashboard-*" if "-dashboard-" in one["metadata"]["name"] else one["metadata"]["name"]
            place = (one["metadata"].get("namespace", ""), one["kind"], name)
            cells.setdefault(place, {})[environment] = summary(one)
    rows = [f"| namespace | kind | name | {' | '.join(environments)} |", "|---" * (3 + len(environments)) + "|"]
    for (namespace, kind, name), found in sorted(cells.items()):
        columns = " | ".join(found.get(environment, "-") for environment in environments)
        rows.append(f"| {namespace.removeprefix('clearfacts-')} | {kind} | {name} | {columns} |")
    return "\n".join(rows)


def summary(one: Object) -> str:
    """What matters of an object, in a few words."""
    spec = one.get("spec", {})
    match one["kind"]:
        case "Deployment" | "StatefulSet":
            return ", ".join([_pods(spec), *_volumes(spec.get("volumeClaimTemplates", ()))])
        case "Job":
            return f"{one['metadata']['annotations']['helm.sh/hook']}, {_size(spec['template']['spec'])}"
        case "CronJob":
            return f"{spec['schedule']} {spec['timeZone']}, {_size(spec['jobTemplate']['spec']['template']['spec'])}"
        case "HorizontalPodAutoscaler":
            return f"{spec['minReplicas']} to {spec['maxReplicas']} pods"
        case "PersistentVolumeClaim":
            return ", ".join(_volumes([one]))
        case "Service":
            return f"port {', '.join(str(port['port']) for port in spec['ports'])}"
        case "NetworkPolicy":
            return f"{_opened(spec, 'ingress', 'from')} in, {_opened(spec, 'egress', 'to')} out"
        case "ServiceEntry":
            return f"port {', '.join(str(port['number']) for port in spec['ports'])}"
        case "AuthorizationPolicy":
            return f"{len(spec.get('rules', ()))} rules"
        case _:
            return "x"


def _pods(spec: Object) -> str:
    size = _size(spec["template"]["spec"])
    return f"{spec['replicas']} of {size}" if "replicas" in spec else f"scaled, {size}"


def _size(pod: Object) -> str:
    limits = pod["containers"][0]["resources"]["limits"]
    return f"{limits['cpu']} / {limits['memory']}"


def _volumes(claims: Iterable[Object]) -> list[str]:
    return [claim["spec"]["resources"]["requests"]["storage"] for claim in claims]


def _opened(spec: Object, way: str, ends: str) -> int:
    return sum(len(rule[ends]) for rule in spec.get(way, ()))


def arrows() -> str:
    """The table of arrows as people read it."""
    table = yaml.safe_load((CHART / "files" / "arrows.yaml").read_text("utf-8"))
    rows = [
        f"| {one['from']} | {one['to']} | {one.get('port', 'by values')} | {one['why']} |" for one in table["arrows"]
    ]
    return "\n".join(["| from | to | port | what for |", "|---|---|---|---|", *rows])


def between(text: str, begin: str, end: str, content: str) -> str:
    """``text`` with ``content`` between two marks."""
    head, rest = text.split(begin, 1)
    return f"{head}{begin}\n{content}\n{end}{rest.split(end, 1)[1]}"


def document(environments: Mapping[str, Iterable[Object]]) -> str:
    """docs/deploying.md as it has to be."""
    text = between(DOCUMENT.read_text("utf-8"), BEGIN, END, table(environments))
    return between(text, ARROWS_BEGIN, ARROWS_END, arrows())


def placeholder_images(folder: Path) -> Path:
    """A file of values with images of nobody's: what is rendered with it can be looked at, and not be run."""
    digest = f"@sha256:{'a' * 64}"
    made = values(f"registry.example/clearfacts-assets{digest}", f"postgres{digest}", f"valkey{digest}", f"waf{digest}")
    file = folder / "images.yaml"
    file.write_text(yaml.safe_dump(made), "utf-8")
    return file


def main() -> None:
    """Write the tables into docs/deploying.md."""
    with tempfile.TemporaryDirectory() as scratch:
        images = placeholder_images(Path(scratch))
        DOCUMENT.write_text(document({name: rendered(name, images) for name in ENVIRONMENTS}), "utf-8")


if __name__ == "__main__":
    main()
