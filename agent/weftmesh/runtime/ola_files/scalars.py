"""What a plain YAML scalar means: the core schema of YAML 1.2 (10.3.2), with decimals kept exact.

Where YAML 1.1, which many programs still read, means something else, the writer is asked to say which one it is.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from weftmesh.runtime.ola_files.nodes import Scalar

NUMBER_CHARACTERS_MAX: Final = 40
"""A longer one is text."""
_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER: Final = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_DECIMAL: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")

_NUMBERS_BEGIN: Final = frozenset("+-.0123456789")
_UNCLEAR_BEGIN: Final = frozenset("+-0123456789yYnNoO")
"""Most scalars begin otherwise and need no closer look."""

_OLD_BOOLEAN: Final = re.compile(r"y|Y|yes|Yes|YES|n|N|no|No|NO|on|On|ON|off|Off|OFF")
_SEXAGESIMAL: Final = re.compile(r"[-+]?[1-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?|[-+]?[0-9]+(:[0-5]?[0-9])+\.[0-9_]*")
_OTHER_BASE: Final = re.compile(r"[-+]?(0[0-7_]+|0o[0-7]+|0x[0-9a-fA-F_]+|0b[01_]+)")
_GROUPED: Final = re.compile(r"[-+]?[0-9][0-9]*_[0-9_]*(\.[0-9_]*)?")


def value_of(text: str) -> Scalar:
    """The value of a scalar without quotes."""
    if text in _NULL:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if len(text) > NUMBER_CHARACTERS_MAX or text[0] not in _NUMBERS_BEGIN:
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text) and not _OTHER_BASE.fullmatch(text):
        return Decimal(text)
    return text


def ambiguity(text: str) -> tuple[str, str] | None:
    """What different readers take a scalar without quotes for, and how to say which is meant; None of most."""
    if text[:1] not in _UNCLEAR_BEGIN:
        return None
    if _OLD_BOOLEAN.fullmatch(text):
        return f"some readers take {text} for true or false", f'write true or false, or "{text}" for the word'
    if _SEXAGESIMAL.fullmatch(text):
        return f"some readers take {text} for a number to the base of 60", f'put it in quotes: "{text}"'
    if _OTHER_BASE.fullmatch(text):
        return f"readers disagree about the base of {text}", f'write it in decimal, or "{text}" for the text'
    if _GROUPED.fullmatch(text):
        digits = text.replace("_", "")
        return f"some readers take {text} for a number, others for text", f'write {digits}, or "{text}" for the text'
    return None
