"""The HTTP side: takes requests, offers them to the pipeline, writes the answer as it comes.

Consumes  HTTP; frames addressed to it; cancels; heartbeats.
Publishes req.<id>.request, the same as a chat completion (c0.request), events, cancel, done; offers to normalize
          or upstream; work.watch, without waiting for anybody, and again where its sentinel dies; ask.records, for
          responses that only the records have.
Promises  every request, refused ones too, ends in one `done`; bytes are written when they arrive; a client that
          leaves cancels its call, unless it asked for a response in the background.
"""
