"""The language of `list -p`: MoonPalace's, over the columns and bodies of the records.

    from shared.records.predicates import predicate
    records.newest(10, Filter(predicate=predicate("status == 200 && request_body.model ~ 'kimi*'", now=time.time())))

syntax      text to tree; the grammar
fields      what can be asked about
plan        tree to SQL and what is left
conditions  comparisons in SQL, and with a row's values
bodies      comparisons with what stands in a body
values      comparisons of values
patterns    LIKE and regular expressions in linear time
"""

from shared.records.predicates.plan import Predicate, predicate
from shared.records.predicates.syntax import PredicateError

__all__ = ["Predicate", "PredicateError", "predicate"]
