"""JSON nested more deeply than a decoder goes: cut, so that the rest of it can be read."""

import re

# The closing quote is optional: looking for one that is missing from every quote takes for ever.
_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[][{}]', re.DOTALL)
# No event is nested so deeply: whatever is cut is refused by the field that holds it.
_DEEPEST = 50
# 0.3 s of looking; a body of 16 MiB could hold 16 times as many.
_MOST = 1_000_000


def cut(raw: bytes) -> bytes:
    """`raw` with `[]` in place of what is nested deeper than 50. Raises ValueError if it cannot."""
    depth, since, kept = 0, 0, []
    for number, found in enumerate(_STRING_OR_BRACKET.finditer(raw)):
        if number == _MOST:
            raise ValueError("nested too deeply")
        sign = raw[found.start()]
        if sign in b"[{":
            depth += 1
            if depth == _DEEPEST + 1:
                kept.append(raw[since : found.start()])
        elif sign in b"]}":
            if depth == _DEEPEST + 1:
                kept.append(b"[]")
                since = found.end()
            depth -= 1
    if depth > _DEEPEST:
        raise ValueError("nested too deeply, and not closed")
    return b"".join([*kept, raw[since:]])
