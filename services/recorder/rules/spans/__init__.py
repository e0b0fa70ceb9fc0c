"""An exchange as a trace, by OpenTelemetry's conventions, without a word of what was said in it.

span         what a span is here
conventions  what its attributes are called
facts        which events of the bus are told, and which of their facts
relations    who asked whom
trace        an exchange's messages to its spans
"""

from services.recorder.rules.spans.span import Attributes, Moment, Span
from services.recorder.rules.spans.trace import Finished, trace_of

__all__ = ["Attributes", "Finished", "Moment", "Span", "trace_of"]
