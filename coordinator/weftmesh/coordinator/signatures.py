"""Signatures of advertised keys: those that came while one call was under way are checked together in the next."""

from __future__ import annotations

from collections.abc import Sequence

from weftmesh.core.aggregation.keys import key_statement
from weftmesh.core.aggregation.messages import KeyAdvertisement
from weftmesh.core.aggregation.roster import SignedStatement, Verify
from weftmesh.core.aggregation.terms import RoundTerms
from weftmesh.core.errors import WeftmeshError


class Signatures:
    """Of one round. To ask the node costs more than what it does, and the machine asks for each answer by itself.

    Args:
        terms: of the round.
        verify: asks; see `roster.Verify`.
    """

    def __init__(self, terms: RoundTerms, verify: Verify) -> None:
        self._terms = terms
        self._verify = verify
        self._known: dict[SignedStatement, bool] = {}

    def expect(self, advertisements: Sequence[KeyAdvertisement]) -> None:
        """Find out in one call what the machine is about to ask."""
        if len(advertisements) <= 1:
            return  # the machine asks for one alone just as well
        statements = [
            SignedStatement(one.contributor, key_statement(self._terms, one), one.signature) for one in advertisements
        ]
        try:
            self._known.update(zip(statements, self._verify(statements), strict=True))
        except WeftmeshError:
            return  # each is asked for by itself, so that one that cannot be told spoils no other

    def verify(self, statements: Sequence[SignedStatement]) -> Sequence[bool]:
        """See `roster.Verify`. What was found out is said once."""
        if all(one in self._known for one in statements):
            return [self._known.pop(one) for one in statements]
        return self._verify(statements)
