#!/usr/bin/env bash
# Guess: force_flush of a TracerProvider is False, or at least something is logged, when the collector refused the spans.
# Truth: it is True when the collector answered 400 or 500 (a log line says so; 500 is not tried again), and True without a log
# line when it answered 200 with a partial success that rejects every span. It says only that the queue was worked off.
# Why it matters: jobs and tests that take True as "delivered" lose traces; spans that a backend rejects (too old, too large)
# vanish without any sign in the process. Watch the collector's own counters.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q opentelemetry-sdk==1.45.2 opentelemetry-exporter-otlp-proto-http==1.45.2
cat >ask.py <<'P'
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

rejected = ExportTraceServiceResponse()
rejected.partial_success.rejected_spans = 1
rejected.partial_success.error_message = "too old"
lines = []


class Keep(logging.Handler):
    def emit(self, record):
        lines.append(record.getMessage())


logging.getLogger().addHandler(Keep(level=logging.INFO))


def flush(status, body):
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    provider = TracerProvider()
    exporter = OTLPSpanExporter(f"http://127.0.0.1:{httpd.server_address[1]}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    lines.clear()
    provider.get_tracer("x").start_span("work").end()
    return f"{provider.force_flush()} {len(lines)} log lines"


print(f"400 {flush(400, b'')}, 500 {flush(500, b'')}, rejected {flush(200, rejected.SerializeToString())}")
P
seen=$(v/bin/python ask.py)
echo "opentelemetry-sdk 1.45.2: $seen"
[ "$seen" = "400 True 1 log lines, 500 True 1 log lines, rejected True 0 log lines" ]
