"""One whole round of secure aggregation in one process: `python -m benchmarks.aggregation`.

Every contributor and the coordinator take turns in one thread, so the figure is the processor time of all of them
together: ECDSA P-256 signatures as of certificates, key exchange, shares, masks on real vectors, and the sum.
"""

from __future__ import annotations

import argparse
import secrets
import statistics
import sys
import time
from collections import deque
from collections.abc import Sequence

import numpy as np
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks import report
from weftmesh.core.aggregation.contributor import Contributor
from weftmesh.core.aggregation.coordinator import RoundCoordinator
from weftmesh.core.aggregation.events import (
    CommitIntent,
    ContributorLost,
    CoordinatorEvent,
    CountVector,
    IntentShown,
    MaskVector,
    Received,
    Reply,
    Send,
    Start,
    TakeOff,
)
from weftmesh.core.aggregation.messages import ContributorMessage, CoordinatorMessage
from weftmesh.core.aggregation.roster import SignedStatement
from weftmesh.core.aggregation.terms import RoundTerms, threshold_for
from weftmesh.runtime.masking import SCALE, MaskedSum, Reals, Words, apply_masks, encode_reals, words_to_bytes

_ALGORITHM = ec.ECDSA(hashes.SHA256())


class Round:
    """One round among `count` contributors, the last `dead` of which send no vector."""

    def __init__(self, count: int, length: int, dead: int) -> None:
        self.names = tuple(f"n{number:02}" for number in range(count))
        self.silent = set(self.names[count - dead :])
        self.keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in self.names}
        generator = np.random.default_rng(count)
        self.inputs: dict[str, Words] = {name: encode_reals(generator.normal(size=length)) for name in self.names}
        rng = secrets.SystemRandom()
        self.contributors = {
            name: Contributor(
                name,
                sign=lambda statement, key=key: key.sign(statement, _ALGORITHM),  # type: ignore[misc]
                verify=self._verify,
                rng=rng,
            )
            for name, key in self.keys.items()
        }
        terms = RoundTerms(rng.randbytes(16), "effort", 1, 1, self.names, threshold_for(count), 3, length)
        self.coordinator = RoundCoordinator(terms, verify=self._verify)
        self.total = MaskedSum(length)
        self.vectors: dict[str, bytes] = {}
        self.result: Reals | None = None

    def _verify(self, statements: Sequence[SignedStatement]) -> list[bool]:
        return [self._is_genuine(one) for one in statements]

    def _is_genuine(self, one: SignedStatement) -> bool:
        try:
            self.keys[one.contributor].public_key().verify(one.signature, one.statement, _ALGORITHM)
        except InvalidSignature:
            return False
        return True

    def run(self) -> float:
        """Processor time in seconds, of everybody together; the check of the sum is not in it."""
        begun_s = time.process_time()
        self._post(Start())
        for name in self.silent:
            self._post(ContributorLost(name))
        spent_s = time.process_time() - begun_s
        active = [words for name, words in self.inputs.items() if name not in self.silent]
        exact = np.sum(active, axis=0, dtype=np.uint64).view(np.int64) / SCALE
        if self.result is None or not np.array_equal(self.result, exact):
            sys.exit("the round did not end in the exact sum")
        return spent_s

    def _post(self, event: CoordinatorEvent) -> None:
        """One event for the coordinator, and all that follows from it."""
        waiting: deque[CoordinatorEvent] = deque([event])
        while waiting:
            for effect in self.coordinator.apply(waiting.popleft(), 0.0).effects:
                match effect:
                    case Send(receiver, message):
                        waiting += [Received(receiver, answer) for answer in self._contribute(receiver, message)]
                    case CountVector(contributor):
                        self.total.add(self.vectors[contributor])
                    case CommitIntent(intent):
                        for one in self.contributors.values():
                            one.apply(IntentShown(intent), 0.0)
                        waiting.append(IntentShown(intent))
                    case TakeOff(masks):
                        self.result = self.total.unmasked(masks)

    def _contribute(self, name: str, message: CoordinatorMessage) -> list[ContributorMessage]:
        answers: list[ContributorMessage] = []
        for effect in self.contributors[name].apply(message, 0.0).effects:
            if isinstance(effect, Reply):
                answers.append(effect.message)
            elif isinstance(effect, MaskVector) and name not in self.silent:
                self.vectors[name] = words_to_bytes(apply_masks(self.inputs[name], effect.masks))
                answers.append(effect.announcement)
        return answers


def main() -> None:
    """Measure and write down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--length", type=int, default=16_393, help="numbers in a vector")
    parser.add_argument("--rounds", type=int, default=5, help="of each size; the median and the fastest are shown")
    options = parser.parse_args()
    measured_on = report.machine()
    rows = []
    for count, dead in ((3, 0), (5, 1), (10, 3), (16, 0), (16, 6)):
        spent_ms = [1e3 * Round(count, options.length, dead).run() for _ in range(options.rounds)]
        name = f"{count} contributors, {dead} dead at masked input"
        for metric, value in (("median", statistics.median(spent_ms)), ("fastest", min(spent_ms))):
            rows.append(report.Row(name, f"processor time, {metric}", round(value, 1), "ms"))
            print(f"{name:<44} {metric:<8} {value:>8.1f} ms", flush=True)
    print(report.write("aggregation", rows, measured_on))


if __name__ == "__main__":
    main()
