"""What a person reads of a rotation."""

from __future__ import annotations

import pytest

from weftmesh.cli.cert_text import show_rotation
from weftmesh.cli.output import Output
from weftmesh.mesh.v1 import trust_pb2

VIEW = trust_pb2.RotationView(phase="none", authorities=[trust_pb2.AuthorityView(sha256="a" * 64, state="issuing")])


def test_a_rotation_that_is_over_does_not_look_like_one_to_begin(capsys: pytest.CaptureFixture[str]) -> None:
    show_rotation(Output(), VIEW, over=True)
    shown = capsys.readouterr()
    assert "begin" not in shown.out
    assert f"authority {'a' * 16} issuing" in shown.err


def test_before_it_each_step_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    show_rotation(Output(), VIEW)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["STEP", "begin", "issue", "finish"]
