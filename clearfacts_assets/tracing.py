"""Traces: what led to what, through processes and calls, told to a collector over OTLP/HTTP (OpenTelemetry).

Off until :func:`configure` is given an endpoint: then nothing of OpenTelemetry is imported, and a span costs one
comparison. A span begins only where a trace is under way, or where it may be a trace's first (``root``). Attributes
hold ids of ours, names and numbers: never what a document, a person or a secret says, and of an error its type alone.

Spans leave in batches, on a thread of their own. A collector that is slow, broken or gone costs spans, never time.
"""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span as OtelSpan

P = ParamSpec("P")
R = TypeVar("R")
Kind = Literal["INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]
Attributes = Mapping[str, str | bool | int | float]
NONE: Attributes = {}

SERVICE = "clearfacts"
TRACEPARENT = "traceparent"  # W3C Trace Context, 3.2
QUEUE, BATCH = 8192, 512  # spans kept until they leave, and in one request; beyond the first the oldest are dropped
EVERY_SECONDS = 5.0
EXPORT_SECONDS = 2.0  # that the collector has for a batch; also what the end of a process waits for it

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Collector:
    """Where traces go. ``sample_ratio`` of those that begin here are kept, 0 to 1; for others their caller has decided.

    ``headers`` go with every batch."""

    endpoint: str  # without /v1/traces
    sample_ratio: float = 1.0
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxy: str = field(default="", repr=False)  # URL of the proxy, with its password; empty for none
    ca_file: str | None = None


class Span:
    """One thing that is done. This one is of no trace: it takes everything and tells nothing."""

    def note(self, attributes: Attributes) -> None:
        """What is known of it by now. Names are OpenTelemetry's where it has one, else begin with ``clearfacts``."""

    def named(self, name: str) -> None:
        """What it is called, where that is known only now."""

    def failed(self, kind: str) -> None:
        """It came to an error of this type."""

    def end(self) -> None:
        """It is over."""


NOTHING = Span()


class _Recorded(Span):
    def __init__(self, span: OtelSpan) -> None:
        self.span = span

    def enter(self) -> Callable[[], None]:
        """What begins from now on is part of it, until what is returned is called."""
        from opentelemetry.context import attach, detach
        from opentelemetry.trace import set_span_in_context

        token = attach(set_span_in_context(self.span))
        return lambda: detach(token)

    def note(self, attributes: Attributes) -> None:
        self.span.set_attributes(attributes)

    def named(self, name: str) -> None:
        self.span.update_name(name)

    def failed(self, kind: str) -> None:
        from opentelemetry.trace import Status, StatusCode

        self.span.set_status(Status(StatusCode.ERROR, kind))
        self.span.set_attribute("error.type", kind)

    def end(self) -> None:
        self.span.end()


_tracing: _Tracing | None = None
_configured: Collector | None = None
_lock = threading.Lock()


def configure(collector: Collector | None) -> None:
    """From now on, traces of this process go there; None: nowhere. Starts nothing: the first span does."""
    global _configured, _tracing
    with _lock:
        if collector == _configured:
            return
        if _tracing is not None:
            _tracing.close()
        _configured, _tracing = collector, None


def is_on() -> bool:
    return _configured is not None


@contextmanager
def span(
    name: str, attributes: Attributes = NONE, *, kind: Kind = "INTERNAL", parent: str = "", root: bool = False
) -> Iterator[Span]:
    """While this lasts, what begins on this thread or task belongs to this span.

    ``parent`` is a traceparent: of the caller, or of what another process did before. Without one, and outside of any
    trace, a span that is no ``root`` is none. An exception that passes is told by its type, and goes on.
    """
    begun = begin(name, attributes, kind=kind, parent=parent, root=root)
    if not isinstance(begun, _Recorded):
        yield begun
        return
    left = begun.enter()
    try:
        yield begun
    except BaseException as error:
        begun.failed(type(error).__name__)
        raise
    finally:
        left()
        begun.end()


def begin(
    name: str,
    attributes: Attributes = NONE,
    *,
    kind: Kind = "INTERNAL",
    parent: str = "",
    root: bool = False,
    since: int | None = None,
) -> Span:
    """A span that others do not become part of, until its ``end``. See :func:`span`.

    ``since`` is when it began, where that was before: in nanoseconds since 1970."""
    if _configured is None:
        return NOTHING
    return _running().begin(name, attributes, kind, parent, root, since)


def traceparent() -> str:
    """The span under way, for a header or for another process (W3C Trace Context); empty outside of any."""
    if _configured is None:
        return ""
    carrier: dict[str, str] = {}
    _running().propagator.inject(carrier)
    return carrier.get(TRACEPARENT, "")


def headers() -> dict[str, str]:
    """What a call to another system carries of the trace; empty outside of any."""
    current = traceparent()
    return {TRACEPARENT: current} if current else {}


def trace_id() -> str:
    """Of the trace under way, 32 hexadecimal digits; empty outside of any."""
    return traceparent()[3:35]


def carried(call: Callable[P, R]) -> Callable[P, R]:
    """The call, to be made on another thread, as part of the span that is under way here."""
    if _configured is None:
        return call
    context = copy_context()

    def with_it(*arguments: P.args, **named: P.kwargs) -> R:
        return context.run(call, *arguments, **named)

    return with_it


@cache
def installed_version() -> str:
    """Of this program."""
    try:
        return version("clearfacts-assets")
    except PackageNotFoundError:
        return "unknown"  # run from its files, without having been installed


def _running() -> _Tracing:
    global _tracing
    with _lock:
        if _tracing is None:
            assert _configured is not None  # noqa: S101 - asked by every caller
            _tracing = _Tracing(_configured)
        return _tracing


class _Tracing:
    """OpenTelemetry, started."""

    def __init__(self, collector: Collector) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
        from opentelemetry.trace import SpanKind, get_current_span
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        release = installed_version()
        # It writes a line for every batch, and for every span that it drops; ours is one line a change.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._exporter = _exporter(collector)
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(collector.sample_ratio)),
            resource=Resource({"service.name": SERVICE, "service.version": release}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                self._exporter,
                max_queue_size=QUEUE,
                max_export_batch_size=BATCH,
                schedule_delay_millis=1000 * EVERY_SECONDS,
            )
        )
        self._tracer = self._provider.get_tracer(SERVICE, release)
        self.propagator = TraceContextTextMapPropagator()
        self._kinds, self._span_of = SpanKind.__members__, get_current_span
        atexit.register(self.close)

    def begin(self, name: str, attributes: Attributes, kind: Kind, parent: str, root: bool, since: int | None) -> Span:
        context: Context | None = self.propagator.extract({TRACEPARENT: parent}) if parent else None
        over = self._span_of(context).get_span_context()
        if not over.is_valid and not root:
            return NOTHING
        if over.is_valid and not over.is_remote and not over.trace_flags.sampled:
            return NOTHING  # its trace is not told, which was decided once, where it began
        begun = self._tracer.start_span(
            name,
            context,
            self._kinds[kind],
            attributes,
            start_time=since,
            record_exception=False,
            set_status_on_exception=False,
        )
        return _Recorded(begun)

    def close(self) -> None:
        """Let what is left leave, for as long as one batch may take."""
        atexit.unregister(self.close)
        self._exporter.closing = True
        self._provider.shutdown()


def _exporter(collector: Collector) -> Any:
    """OTLP over HTTP, as protobuf, that tells once when it stops and once when it goes on."""
    import requests
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import SpanExportResult

    session = requests.Session()
    session.trust_env = False  # the way out is a setting, as for all other calls
    session.proxies = {"http": collector.proxy, "https": collector.proxy} if collector.proxy else {}

    class Exporter(OTLPSpanExporter):
        closing = broken = False

        def export(self, spans: Any) -> SpanExportResult:
            if self.closing and self.broken:
                return SpanExportResult.FAILURE
            result = super().export(spans)
            broken = result is not SpanExportResult.SUCCESS
            if broken and not self.broken:
                logger.warning("traces are lost: %s does not take them; all else goes on", collector.endpoint)
            elif self.broken and not broken:
                logger.warning("traces are told again: %s takes them", collector.endpoint)
            self.broken = broken
            return result

    return Exporter(
        endpoint=f"{collector.endpoint.rstrip('/')}/v1/traces",
        certificate_file=collector.ca_file,
        headers=dict(collector.headers),
        timeout=EXPORT_SECONDS,
        compression=Compression.NoCompression,  # it is near, and pressing takes longer than all the rest of sending
        session=session,
    )
