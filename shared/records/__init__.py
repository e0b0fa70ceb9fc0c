"""The records of exchanges: tables, the database they live in, and the questions asked of it.

tables    what is kept
database  opening a database, for its one writer or for readers
blobs     bytes and timings as they are stored
queries   what `list`, `inspect` and the dashboard ask
filters   which exchanges are meant; names: what one can be called; moments: times as people write them
predicates  MoonPalace's language
statistics  sums over exchanges, and the quality of tool calls
differences  two bodies compared line by line
"""
