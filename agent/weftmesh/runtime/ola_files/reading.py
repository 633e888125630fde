"""Files in, agreements and findings out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from weftmesh.core.ola.checking import check_agreement
from weftmesh.core.ola.model import Agreement
from weftmesh.core.ola.problems import Problem
from weftmesh.runtime.ola_files.agreements import agreement_of
from weftmesh.runtime.ola_files.explaining import findings_of
from weftmesh.runtime.ola_files.findings import Code, Finding, Findings, FindingsFullError, Severity, Source
from weftmesh.runtime.ola_files.forms import OlaForm
from weftmesh.runtime.ola_files.nodes import ListNode, Location, MapNode, Node, mark_at, plain, text_at
from weftmesh.runtime.ola_files.openslo import PLACES, Catalogue, OpenSloDocument
from weftmesh.runtime.ola_files.openslo_forms import OPENSLO_VERSION
from weftmesh.runtime.ola_files.yaml_reader import FILE_BYTES_MAX, read_documents

RULES_MAX: Final = 500
"""Different recurrence rules of one file: it can take milliseconds to find out whether one ever happens or pauses."""


@dataclass(frozen=True, slots=True)
class FileText:
    """A file that was read, or its beginning if it is too large."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class ReadAgreement:
    """An agreement, and where it stands.

    Attributes:
        agreement: what it says.
        source: the file.
        root: the document.
        places: of keys below `spec` that this kind of document has elsewhere.
    """

    agreement: Agreement
    source: Source
    root: Node
    places: Mapping[str, Location] = field(default_factory=dict)

    def finding(self, problem: Problem) -> Finding:
        """The place in the file of what is wrong with it."""
        first = str(problem.path[0])
        steps = self.places.get(first) or (problem.path if first == "metadata" else ("spec", *problem.path))
        return Finding(self.source, mark_at(self.root, steps), Code.CONTRADICTION, problem.message, problem.fix)


@dataclass(frozen=True, slots=True)
class Reading:
    """What files say, and what is wrong with them.

    Attributes:
        agreements: those that could be made, in the order of the files; to be taken only when there are no `errors`.
        findings: by file and place. At most `FINDINGS_MAX`: with so many the rest is not read.
    """

    agreements: tuple[ReadAgreement, ...]
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings because of which nothing can be applied."""
        return tuple(one for one in self.findings if one.severity is Severity.ERROR)


def load(path: Path) -> FileText:
    """Read a file, no further than is needed to see that it is too large.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return FileText(str(path), file.read(FILE_BYTES_MAX + 1))


def read_agreements(files: Iterable[FileText]) -> Reading:
    """Read and check agreements, each by itself; what they promise one another is judged by a plan.

    Whatever the files hold, time and memory are bounded and nothing is raised: what is wrong is a finding.
    """
    reader = _Reader()
    with suppress(FindingsFullError):
        for file in files:
            reader.read(file)
        reader.finish()
    findings = tuple(reader.findings)
    return Reading(tuple(reader.agreements), findings)


class _Reader:
    """What was read so far."""

    def __init__(self) -> None:
        self.findings = Findings()
        self.agreements: list[ReadAgreement] = []
        self._catalogue = Catalogue()
        self._seen: dict[str, ReadAgreement] = {}
        self._rules: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
        """Of each file: the different rules, and from when they hold."""

    def read(self, file: FileText) -> None:
        """Take the documents of one file."""
        source, documents = read_documents(file.name, file.data, self.findings)
        for root in _flat(documents):
            self._document(source, root)

    def finish(self) -> None:
        """Take what could not be judged before all files were read."""
        for document in self._catalogue.objectives:
            agreement = self._catalogue.agreement_of(document, self.findings)
            if agreement is not None:
                self._take(ReadAgreement(agreement, document.source, document.root, PLACES))

    def _document(self, source: Source, root: Node) -> None:
        if not isinstance(root, MapNode):
            fix = "begin with apiVersion: weftmesh/v1"
            self.findings.add(Finding(source, root.mark, Code.BAD_VALUE, "this is no agreement", fix))
        elif text_at(root, "apiVersion") == OPENSLO_VERSION:
            self._catalogue.add(OpenSloDocument(source, root), self.findings)
        else:
            self._ola(source, root)

    def _ola(self, source: Source, root: Node) -> None:
        try:
            form = OlaForm.model_validate(plain(root))
        except ValidationError as error:
            for finding in findings_of(error, OlaForm, source, root):
                self.findings.add(finding)
            return
        self._take(ReadAgreement(agreement_of(form), source, root))

    def _take(self, read: ReadAgreement) -> None:
        if not self._has_room_for_rules(read):
            return
        problems = check_agreement(read.agreement)
        for problem in problems:
            self.findings.add(read.finding(problem))
        before = self._seen.setdefault(read.agreement.name, read)
        if before is not read:
            where = f"{before.source.name}:{mark_at(before.root, ('metadata', 'name')).line}"
            mark = mark_at(read.root, ("metadata", "name"))
            message = f"{read.agreement.name} is there already, in {where}"
            self.findings.add(
                Finding(read.source, mark, Code.DUPLICATE, message, "give it another name, or leave it out")
            )
        elif not problems:
            self.agreements.append(read)

    def _has_room_for_rules(self, read: ReadAgreement) -> bool:
        """Whether a file has few enough different rules, with those of this agreement; the first too many is told."""
        rules = self._rules[read.source.name]
        if len(rules) > RULES_MAX:
            return False
        for index, one in enumerate(read.agreement.exclusions):
            if one.rrule:
                rules.add((one.rrule, one.starts_at))
            if len(rules) > RULES_MAX:
                message = f"the file has more than {RULES_MAX} different rules"
                fix = "make several files of it, or give exclusions that may begin together the same rule"
                problem = Problem(("exclusions", index, "rrule"), message, fix)
                self.findings.add(replace(read.finding(problem), code=Code.TOO_LARGE))
                return False
        return True


def _flat(documents: Iterable[Node]) -> Iterator[Node]:
    """Documents one by one; some write them as a list."""
    for root in documents:
        if isinstance(root, ListNode):
            yield from root.items
        else:
            yield root
