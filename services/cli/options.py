"""Options that several commands share."""

from __future__ import annotations

import click

CONFIG = click.option(
    "--config",
    "file",
    type=click.Path(),
    metavar="FILE",
    help="The configuration file (default: $MOONTIDE_CONFIG, else none).",
)
HOST = click.option("--host", help="The address to listen on (default: 127.0.0.1).")
PARENT = click.option("--parent", type=int, hidden=True, help="Stop when this process, the own parent, is gone.")
DETECT_REPEAT = click.option("--detect-repeat", is_flag=True, help="Stop answers that run in a loop, of every model.")
REPEAT_THRESHOLD = click.option(
    "--repeat-threshold", type=click.FloatRange(0, 1), help="How little repetition is tolerated (default: 0.5)."
)
REPEAT_MIN_LENGTH = click.option(
    "--repeat-min-length", type=click.IntRange(0), help="Characters before detection begins (default: 100)."
)
PORT = click.option("-p", "--port", type=click.IntRange(0, 65535), help="The port to listen on (default: 9988).")
METRICS_PORT = click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    help="Answer GET /metrics and /healthz on this port of loopback (metrics.port).",
)
