"""The hash of the board alone and that of all machines of a log are not shown under one name."""

from __future__ import annotations

import pytest

from weftmesh.cli.commands.backup import show_boards
from weftmesh.cli.commands.status import _facts
from weftmesh.cli.commands.verify import _show
from weftmesh.cli.output import Output
from weftmesh.mesh.v1 import audit_pb2, backup_pb2, mesh_pb2


def test_a_backup_and_a_status_show_the_hash_of_the_board(capsys: pytest.CaptureFixture[str]) -> None:
    show_boards(Output(), [backup_pb2.BackupBoard(home="mesh", state_hash="5b0c")])
    assert "BOARD HASH" in capsys.readouterr().out
    assert ("board hash", "5b0c") in _facts(mesh_pb2.NodeStatus(state_hash="5b0c"))


def test_a_verification_says_of_what_its_hash_is(capsys: pytest.CaptureFixture[str]) -> None:
    voter = audit_pb2.VoterAudit(node="n1", state_hash="77aa")
    _show(Output(), audit_pb2.AuditReport(passed=True, voters=[voter]))
    shown = capsys.readouterr()
    assert "STATE HASH" in shown.out
    assert "`status` and `backup` show is of the board alone" in shown.err
