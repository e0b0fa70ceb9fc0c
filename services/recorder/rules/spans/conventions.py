"""What attributes are called: OpenTelemetry's semantic conventions for HTTP and for generative AI (status: development,
July 2026), and names below `moontide.` for what they have no place for."""

from __future__ import annotations

from urllib.parse import urlsplit

from services.recorder.rules.spans.span import Value
from shared.contracts import End, HttpRequest, Usage

Known = dict[str, Value | None]

CHAT = "chat"
ROUTES = {
    "openai_chat": "/v1/chat/completions",
    "anthropic_messages": "/v1/messages",
    "openai_responses": "/v1/responses",
}
OPERATIONS = {"/v1/embeddings": "embeddings", "/v1/completions": "text_completion"}  # of what is passed through
PROVIDERS = {"moonshot": "moonshot_ai", "vertex": "gcp.vertex_ai", "anthropic": "anthropic", "openrouter": "openrouter"}
OPENAI_HOST = "api.openai.com"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"})
OTHER_METHOD = "_OTHER"
FAILED = "error"  # in the place of a finish reason that never came
PORTS = {"http": 80, "https": 443}


def operation_of(request: HttpRequest) -> str | None:
    """What is asked for; None where nobody here knows."""
    return CHAT if request.dialect in ROUTES else OPERATIONS.get(path_of(request))


def method_of(request: HttpRequest) -> str:
    """As a name of few: whatever a client makes up is one."""
    return request.method if request.method in METHODS else OTHER_METHOD


def route_of(request: HttpRequest) -> str | None:
    """The path, where there are only a few of them."""
    path = path_of(request)
    known = ROUTES.get(request.dialect)
    return known if known is not None else path if path in OPERATIONS else None


def path_of(request: HttpRequest) -> str:
    """Without the query: whatever a client writes there."""
    return urlsplit(request.path).path


def provider_name(name: str | None, kind: str | None, url: str) -> str | None:
    """The provider as others know it; where they don't, its name in the configuration."""
    if kind == "openai" and _host(url)[0] == OPENAI_HOST:
        return "openai"
    return PROVIDERS.get(kind or "", name)


def server(url: str) -> Known:
    address, port = _host(url)
    return {"server.address": address, "server.port": port}


def _host(url: str) -> tuple[str | None, int | None]:
    try:
        parts = urlsplit(url)
        return parts.hostname, parts.port or PORTS.get(parts.scheme)
    except ValueError:
        return None, None


def usage(usage: Usage | None) -> Known:
    """Cached tokens are part of the input, reasoning of the output."""
    if usage is None:
        return {}
    return {
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens or None,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens or None,
    }


def finish_reasons(reason: str | None) -> tuple[str, ...]:
    return (reason,) if reason is not None else ()


def response(end: End | None, streamed: bool) -> Known:
    """What one call's answer says of itself."""
    if end is None:
        return {}
    return {
        "gen_ai.response.id": end.completion_id,
        "gen_ai.response.finish_reasons": finish_reasons(end.finish_reason or (None if end.is_well_formed else FAILED)),
        "gen_ai.response.time_to_first_chunk": end.first_byte_s if streamed else None,
        **usage(end.usage),
    }
