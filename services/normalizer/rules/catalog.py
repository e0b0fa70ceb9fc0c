"""Every repair by name: the one list that settings, counters, events and docs/repairs.md go by."""

from __future__ import annotations

from typing import NamedTuple


class Repair(NamedTuple):
    """One thing that the engine mends: the name that switches it off, what arrives, what goes out."""

    name: str
    arrives: str
    goes_out: str
    seen_at: str  # which providers or engines do it


CATALOG: tuple[Repair, ...] = (
    # tool calls written as text
    Repair(
        "tool_call_from_content",
        "Kimi K2 call tokens in the content",
        "a structured call",
        "vLLM, SGLang, Dynamo, llama.cpp, Fireworks, NVIDIA NIM, Chutes",
    ),
    Repair(
        "tool_call_from_reasoning",
        "Kimi K2 call tokens in the reasoning",
        "a structured call",
        "vLLM and SGLang with a reasoning parser, NVIDIA NIM",
    ),
    Repair(
        "tool_call_from_k3",
        "Kimi K3 `<|open|>call …` blocks as text",
        "a structured call",
        "engines without a K3 parser",
    ),
    Repair(
        "tool_call_from_bare_id",
        "`functions.name:0{…}` without any token",
        "a structured call",
        "engines that strip special tokens",
    ),
    Repair("tool_call_from_hermes", "`<tool_call>{…}</tool_call>`", "a structured call", "mixed Qwen/Hermes templates"),
    Repair(
        "tool_call_from_xml",
        "`<function_calls><invoke …>`",
        "a structured call",
        "Kimi for coding behind Claude-shaped prompts",
    ),
    Repair(
        "tool_call_from_json",
        "an answer that is nothing but a JSON call object",
        "a structured call",
        "NVIDIA NIM, prompt-based bridges",
    ),
    Repair(
        "stray_marker_removed", "a marker that begins or ends nothing", "the text without it", "Fireworks, Dynamo, vLLM"
    ),
    Repair(
        "cut_marker_removed", "a marker cut off by the end of the answer", "the text without it", "all, at max_tokens"
    ),
    # the end of a turn
    Repair(
        "turn_token_removed",
        "`<|im_end|>`, `[EOS]` and their kin",
        "the text without them",
        "llama.cpp forks, engines without stop tokens",
    ),
    Repair(
        "invented_turn_removed",
        "a turn of the user's that the model made up",
        "the text before it",
        "engines without stop tokens",
    ),
    # reasoning
    Repair(
        "reasoning_from_tags",
        "`<think>…</think>` and its kin in the content",
        "reasoning_content",
        "vLLM and llama.cpp without a reasoning parser",
    ),
    Repair(
        "reasoning_from_orphan_close",
        "thoughts that only a `</think>` ends",
        "reasoning_content",
        "vLLM, SGLang: the template opens the block",
    ),
    Repair("reasoning_tag_removed", "a think tag left over in either field", "the text without it", "vLLM"),
    Repair(
        "reasoning_field_renamed", "`reasoning` or `reasoning_details`", "reasoning_content", "vLLM >= 0.19, OpenRouter"
    ),
    Repair("answer_from_reasoning", "the answer in the reasoning field", "content", "llama.cpp forks, Dynamo"),
    Repair(
        "placeholder_removed",
        "`(no content)` in place of an empty text",
        "nothing",
        "histories of Anthropic-shaped clients, anywhere",
    ),
    # structured calls
    Repair("legacy_function_call", "`function_call`", "tool_calls", "old OpenAI bridges"),
    Repair(
        "tool_call_id_rewritten",
        "an id that is missing, used twice or not portable",
        "a unique id",
        "all: ids count per turn, are missing, or have dots and colons",
    ),
    Repair(
        "tool_call_fragments_joined",
        "fragments with wrong indexes, ids or names",
        "one call each",
        "Dynamo, Fireworks, small gateways",
    ),
    Repair("tool_call_deduplicated", "one call twice", "one call", "Bedrock, Nebius, Cortecs, OpenRouter"),
    Repair(
        "tool_name_repaired",
        "a name that one offered tool nearly has",
        "the offered name",
        "all, rarely; gateways that concatenate names",
    ),
    Repair(
        "tool_name_inferred",
        "no name, but arguments that fit one tool only",
        "the offered name",
        "SGLang, vLLM after long histories",
    ),
    Repair("incomplete_call_dropped", "a call that was cut off", "nothing", "all, at max_tokens"),
    Repair("hopeless_call_dropped", "a call whose arguments or name can't be made out", "nothing", "all, rarely"),
    Repair("oversized_call_dropped", "a call past the limit on held-back text", "nothing", "runaway models"),
    # arguments
    Repair("arguments_defaulted", "arguments that are null, absent or empty", "`{}`", "vLLM, Moonshot's own clients"),
    Repair("arguments_repaired", "arguments that are broken JSON", "valid JSON", "all, more often at high temperature"),
    Repair(
        "arguments_unwrapped",
        "arguments encoded twice or inside an envelope",
        "the arguments",
        "all, after histories that were encoded twice",
    ),
    Repair(
        "arguments_coerced",
        "values of the wrong type for the tool's schema",
        "values that fit",
        "all; Moonshot's vendor verifier counts it",
    ),
    # text and frames
    Repair("content_parts_joined", "content as a list of parts", "content as a string", "Mistral-shaped bridges"),
    Repair(
        "lone_surrogate_replaced",
        "half a surrogate pair, or invalid UTF-8",
        "U+FFFD",
        "engines that detokenise byte by byte",
    ),
    Repair("empty_content_nulled", "empty content beside calls", "null", "most"),
    Repair(
        "finish_reason_mapped",
        "a finish reason that OpenAI clients don't know, or a wrong one",
        "the right one",
        "most: `stop` beside calls, engines' and Anthropic's words",
    ),
    Repair("finish_reason_added", "no finish reason", "one that fits", "OpenRouter"),
    Repair("role_added", "no role in the first frame", "`assistant`", "small engines"),
    Repair("object_added", "no `object`", "its value", "small engines"),
    Repair("done_added", "no `[DONE]`", "`[DONE]`", "streams that were cut, small engines"),
    Repair("unreadable_event_dropped", "an event that is not JSON", "nothing", "proxies in between"),
)

NAMES = frozenset(repair.name for repair in CATALOG)


class Repairs:
    """Which repairs are on, and how often each was made."""

    def __init__(self, off: tuple[str, ...] = (), *, enabled: bool = True) -> None:
        self.made: dict[str, int] = {}
        self._off = frozenset(off) if enabled else NAMES

    def afresh(self) -> Repairs:
        """The same repairs on, none of them made: for trials."""
        trial = Repairs()
        trial._off = self._off
        return trial

    def on(self, name: str) -> bool:
        """Whether the repair may be made; nothing is counted."""
        return name not in self._off

    def make(self, name: str) -> bool:
        """Count the repair and say that it may be made; false where it is switched off."""
        if name in self._off:
            return False
        self.made[name] = self.made.get(name, 0) + 1
        return True
