"""The configuration: one YAML or JSON file, the environment and the command line, checked as a whole.

settings     the structs: what there is, with defaults
document     a file's text to values, each with its line
environment  MOONTIDE_ variables to values, each with its name
layers       values from several places, and where each came from
defaults     what stands where nothing was said
not_yet      what is planned and refused until then
schema       values against the structs
rules        what no type can say
kinds        which keys belong to which kind of provider
proxy_environment  providers that well-known variables name
traces       where traces go, and what that takes
addresses    the form of addresses
references   where secrets stand, and who needs them
client_keys  the keys that clients come with
loader       all of it, in order
models       which entry a model name means
routes       where a request goes
reload       new settings for a running process
show         the effective settings back to YAML
"""

from shared.config.client_keys import ClientKeys
from shared.config.loader import Loaded, files_of, load
from shared.config.models import Match, default_provider, is_glob, model_for, plain_name, served_models
from shared.config.reload import Stamp, digest, merged
from shared.config.routes import Decision, decide, may_be_continued, provider_by_route
from shared.config.settings import (
    Alert,
    Bus,
    Capture,
    CircuitPolicy,
    Enforcer,
    Ingress,
    Limits,
    Log,
    MetricsPort,
    Model,
    Normalizer,
    Provider,
    Recorder,
    Retry,
    Route,
    Sentinel,
    Settings,
    Sink,
    Target,
    Traces,
    Upstream,
    When,
)

__all__ = [
    "Alert",
    "Bus",
    "Capture",
    "CircuitPolicy",
    "ClientKeys",
    "Decision",
    "Enforcer",
    "Ingress",
    "Limits",
    "Loaded",
    "Log",
    "Match",
    "MetricsPort",
    "Model",
    "Normalizer",
    "Provider",
    "Recorder",
    "Retry",
    "Route",
    "Sentinel",
    "Settings",
    "Sink",
    "Stamp",
    "Target",
    "Traces",
    "Upstream",
    "When",
    "decide",
    "default_provider",
    "digest",
    "files_of",
    "is_glob",
    "load",
    "may_be_continued",
    "merged",
    "model_for",
    "plain_name",
    "provider_by_route",
    "served_models",
]
