"""The tables' history, a file for each revision. Run by `shared.records.revisions`, never by hand."""
