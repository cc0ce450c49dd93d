# One image for every role: `clearfacts serve` (UI and API), `clearfacts run`, Dagster's code server, daemon and runs.
#
#   docker build -t clearfacts-assets .
#   docker run --rm -p 3000:3000 -v clearfacts:/var/lib/clearfacts clearfacts-assets
#
# State: everything embedded lies in CLEARFACTS_HOME (/var/lib/clearfacts, a volume). DAGSTER_HOME is deliberately not set:
# `clearfacts` then uses $CLEARFACTS_HOME/dagster and puts our dagster.yaml there. On Kubernetes the Helm chart sets
# DAGSTER_HOME and mounts its own dagster.yaml; what is set wins.

FROM python:3.11-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_NO_CACHE=1
WORKDIR /src

# uv and the build backend, from the lock's own hashes, in an environment that stays behind in this stage.
COPY requirements.lock pyproject.toml ./
RUN python -m venv /opt/build \
    && sed -n '/^uv==/,/# via/p' requirements.lock > uv.txt \
    && /opt/build/bin/pip install --no-cache-dir --require-hashes -r uv.txt \
    && sed -n 's/^\(hatchling==[^ ]*\).*/\1/p' requirements.lock > backend.txt \
    && /opt/build/bin/uv pip install --python /opt/build/bin/python --require-hashes -r backend.txt -c requirements.lock

# What runs, without the dev extra: the versions by resolving against the lock, the hashes from the lock.
RUN python -m venv --without-pip /opt/clearfacts \
    && /opt/build/bin/uv pip compile pyproject.toml --extra postgres --extra k8s --extra redis \
        -c requirements.lock --no-annotate --no-header --quiet -o runtime.txt \
    && /opt/build/bin/uv pip install --python /opt/clearfacts/bin/python --compile-bytecode \
        --require-hashes -r runtime.txt -c requirements.lock

COPY README.md dagster.yaml workspace.yaml ./
COPY clearfacts_assets clearfacts_assets
RUN /opt/build/bin/uv build --wheel --no-build-isolation --python /opt/build/bin/python --out-dir /src/dist \
    && /opt/build/bin/uv pip install --python /opt/clearfacts/bin/python --compile-bytecode --no-deps dist/*.whl

FROM python:3.11-slim
# Type for names in Chinese, Japanese and Korean on statements; ours has the other scripts.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends fonts-noto-cjk && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/clearfacts --create-home clearfacts
COPY --from=build /opt/clearfacts /opt/clearfacts
ENV PATH=/opt/clearfacts/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    CLEARFACTS_HOME=/var/lib/clearfacts \
    CLEARFACTS_LOG_FORMAT=json \
    CLEARFACTS_STATEMENTS__FONT_PATHS='["/usr/share/fonts/opentype/noto"]'
USER 10001:10001
WORKDIR /var/lib/clearfacts
VOLUME /var/lib/clearfacts
EXPOSE 3000

# For engines that look at it (Kubernetes does not: probes are the chart's).
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ.get('CLEARFACTS_SERVE__PORT', '3000') + '/healthz', timeout=4)"]

# A command and no entry point: the Helm chart and the run launcher give `dagster api ...` as the container's arguments,
# which an entry point would swallow.
CMD ["clearfacts", "serve", "--host", "0.0.0.0"]
