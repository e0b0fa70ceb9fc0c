"""The provider's other endpoints: what a gateway passes through."""

from __future__ import annotations

import hashlib
from typing import Any

from aiohttp import BodyPartReader, web

from services.provider_sim import envelope, seeds
from services.provider_sim.ask import tokens_of
from services.provider_sim.behaviours.refusals import error_body
from services.provider_sim.behaviours.table import TABLE
from services.provider_sim.codec import BadRequest, decode, encode
from services.provider_sim.names import PREFIX
from services.provider_sim.plan import JSON
from services.provider_sim.state import Simulator, UnknownModel

SIMULATOR = web.AppKey("simulator", Simulator)
CONTEXT_TOKENS = 262_144
CONTINUED = " and they lived happily ever after."
DEFAULT_DIMENSIONS = 16


def answer(request: web.Request, value: object, status: int = 200) -> web.Response:
    headers = envelope.headers(seeds.digest(request.method, request.raw_path))
    return web.Response(status=status, body=encode(value), headers={**headers, "Content-Type": JSON})


def failed(status: int, kind: str, message: str) -> web.Response:
    return web.Response(status=status, body=error_body(kind, message), headers={"Content-Type": JSON})


def model_object(name: str) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": seeds.EPOCH,
        "owned_by": "moonshot",
        "context_length": CONTEXT_TOKENS,
        "supports_image_in": False,
        "supports_video_in": False,
        "supports_reasoning": True,
    }


async def models(request: web.Request) -> web.Response:
    scenarios = request.app[SIMULATOR].scenarios
    known = [*scenarios, *(PREFIX + name for name in TABLE)]
    return answer(request, {"object": "list", "data": [model_object(name) for name in known]})


async def model(request: web.Request) -> web.Response:
    name = request.match_info["id"]
    request.app[SIMULATOR].scenario(name)
    return answer(request, model_object(name))


async def completions(request: web.Request) -> web.Response:
    """The form before chat: any prompt is continued in the same words."""
    fields = await _object(request)
    prompt = fields.get("prompt")
    used, written = tokens_of(prompt), tokens_of(CONTINUED)
    usage = {"prompt_tokens": used, "completion_tokens": written, "total_tokens": used + written}
    choice = {"index": 0, "text": CONTINUED, "finish_reason": "stop", "logprobs": None}
    named = {"id": "cmpl-sim", "object": "text_completion", "created": 0, "model": fields.get("model")}
    return answer(request, {**named, "choices": [choice], "usage": usage})


async def embeddings(request: web.Request) -> web.Response:
    fields = await _object(request)
    given = fields.get("input")
    texts = given if isinstance(given, list) else [given]
    dimensions = int(fields.get("dimensions") or DEFAULT_DIMENSIONS)
    data = [
        {"object": "embedding", "index": index, "embedding": _vector(text, dimensions)}
        for index, text in enumerate(texts)
    ]
    tokens = sum(map(tokens_of, texts))
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return answer(request, {"object": "list", "model": fields.get("model"), "data": data, "usage": usage})


def _vector(text: object, dimensions: int) -> list[float]:
    pick = seeds.seeded("embedding", text)
    return [round(pick.uniform(-1, 1), 6) for _ in range(dimensions)]


async def files(request: web.Request) -> web.Response:
    """Answers a multipart upload with its size and sha256; nothing is kept."""
    if not request.content_type.startswith("multipart/"):
        raise BadRequest("a file must be sent as multipart/form-data")
    fields: dict[str, Any] = {}
    async for part in await request.multipart():
        if isinstance(part, BodyPartReader):
            fields.update(await _part(part))
    if "sha256" not in fields:
        raise BadRequest("the form has no part named file")
    identity = {"id": f"file-{fields['sha256'][:24]}", "object": "file", "created_at": seeds.EPOCH}
    return answer(request, {**identity, "status": "ready", "status_details": "", **fields})


async def _part(part: BodyPartReader) -> dict[str, Any]:
    if part.name != "file":
        return {str(part.name): await part.text()}
    digest, size = hashlib.sha256(), 0
    while block := await part.read_chunk(64 * 1024):
        digest.update(block)
        size += len(block)
    return {"filename": part.filename, "bytes": size, "sha256": digest.hexdigest()}


async def token_count(request: web.Request) -> web.Response:
    fields = await _object(request)
    return answer(request, {"data": {"total_tokens": tokens_of(fields.get("messages") or [])}})


async def balance(request: web.Request) -> web.Response:
    amounts = {"available_balance": 49.58, "voucher_balance": 46.58, "cash_balance": 3.0}
    return answer(request, {"code": 0, "data": amounts, "scode": "0x0", "status": True})


async def credits_(request: web.Request) -> web.Response:
    """OpenRouter's balance: what was bought, and what is used."""
    return answer(request, {"data": {"total_credits": 50.0, "total_usage": 0.42}})


async def echo(request: web.Request) -> web.Response:
    digest, size = hashlib.sha256(), 0
    async for block in request.content.iter_any():
        digest.update(block)
        size += len(block)
    path, _, query = request.raw_path.partition("?")  # yarl would change the quoting
    seen = {
        "method": request.method,
        "path": path,
        "query": query,
        "headers": sorted(name.lower() for name in request.headers),
        "content_type": request.headers.get("Content-Type"),
        "body_bytes": size,
        "body_sha256": digest.hexdigest(),
    }
    return answer(request, seen)


async def not_found(request: web.Request) -> web.Response:
    raise UnknownModel(request.path)


async def _object(request: web.Request) -> dict[str, Any]:
    fields = decode(await request.read())
    if not isinstance(fields, dict):
        raise BadRequest("the body must be a JSON object")
    return fields


ROUTES = (
    web.get("/v1/models", models),
    web.get("/v1/models/{id:.+}", model),
    web.post("/v1/completions", completions),
    web.post("/v1/embeddings", embeddings),
    web.post("/v1/files", files),
    web.post("/v1/tokenizers/estimate-token-count", token_count),
    web.get("/v1/users/me/balance", balance),
    web.get("/v1/credits", credits_),
    web.route("*", "/v1/echo{rest:.*}", echo),
)
