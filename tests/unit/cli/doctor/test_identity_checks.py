"""The checks of who a node is: its certificates and its secrets."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.unit.cli.doctor.patients import answer, patient, sh, status, survey

from weftmesh.cli.doctor.certificates import check_certificates
from weftmesh.cli.doctor.credentials import check_credentials
from weftmesh.cli.doctor.findings import Finding, Severity
from weftmesh.cli.doctor.patient import Patient
from weftmesh.cli.doctor.survey import Survey
from weftmesh.core.errors import DataCorruptionError
from weftmesh.runtime.config import TlsConfig
from weftmesh.runtime.identity.authority import Authority
from weftmesh.runtime.identity.certificates import key_to_pem, make_key, make_signing_request, to_pem, utc_now
from weftmesh.runtime.identity.founding import found_cluster
from weftmesh.runtime.identity.material import IdentityMaterial

NOBODY = 65534
DAY = timedelta(days=1)


def commands(found: Finding) -> list[str]:
    return [fix.command for fix in found.fixes]


def node(
    directory: Path, *, issued: datetime, founded: datetime, has_authority: bool = False, taken: Survey | None = None
) -> Patient:
    """A node whose certificate and authority were made at some time."""
    made = patient(directory, taken)
    authority = Authority.create("test", now=founded)
    key = make_key()
    certificate = authority.issue(make_signing_request(key, "n1"), "n1", now=issued)
    if has_authority:
        made.identity.save_authority(authority)
    made.identity.save(
        IdentityMaterial.assemble(
            authority_pem=authority.certificate_pem, certificate_pem=to_pem(certificate), key_pem=key_to_pem(key)
        )
    )
    return made


async def test_certificates_in_force_are_told_with_their_ends(tmp_path: Path) -> None:
    (found,) = await check_certificates(node(tmp_path, issued=utc_now(), founded=utc_now()))
    assert found.severity is Severity.OK
    assert f"{utc_now() + 7 * DAY:%Y-%m-%d}" in found.evidence


async def test_an_expired_certificate_needs_a_token_and_a_start(tmp_path: Path) -> None:
    (found,) = await check_certificates(node(tmp_path, issued=utc_now() - 8 * DAY, founded=utc_now()))
    assert found.severity is Severity.FAILURE
    assert commands(found) == ["weftmesh token create --for n1", "systemctl start weftmesh-agent.service"]


async def test_where_the_authority_is_a_start_renews(tmp_path: Path) -> None:
    made = node(tmp_path, issued=utc_now() - 8 * DAY, founded=utc_now(), has_authority=True)
    (found,) = await check_certificates(made)
    assert commands(found) == ["systemctl start weftmesh-agent.service"]


@pytest.mark.parametrize(
    ("issued_days_ago", "severity"), [(0, Severity.WARNING), (5, Severity.WARNING), (8, Severity.FAILURE)]
)
async def test_a_certificate_from_files_is_renewed_by_whoever_puts_a_new_one_there(
    issued_days_ago: int, severity: Severity, tmp_path: Path
) -> None:
    made = node(tmp_path, issued=utc_now() - issued_days_ago * DAY, founded=utc_now())
    files = TlsConfig("files", "/etc/pki/n1.pem", "/etc/pki/n1.key", "/etc/pki/ca.pem")
    (found,) = await check_certificates(replace(made, config=replace(made.config, tls=files)))
    assert found.severity is severity
    assert "put a new one to /etc/pki/n1.pem" in found.summary
    assert not found.fixes


async def test_one_that_was_not_renewed_in_time_is_a_warning(tmp_path: Path) -> None:
    taken = survey(status("n1", ("n1",)))
    (found,) = await check_certificates(node(tmp_path, issued=utc_now() - 5 * DAY, founded=utc_now(), taken=taken))
    assert found.severity is Severity.WARNING
    assert commands(found) == ["systemctl restart weftmesh-agent.service"]


async def test_one_from_the_future_is_a_wrong_clock(tmp_path: Path) -> None:
    (found,) = await check_certificates(node(tmp_path, issued=utc_now() + 3 * DAY, founded=utc_now()))
    assert found.severity is Severity.FAILURE
    assert "not in force yet" in found.summary


@pytest.mark.parametrize(("age_days", "severity"), [(3600, Severity.WARNING), (3660, Severity.FAILURE)])
async def test_the_authoritys_end_is_told_in_time(tmp_path: Path, age_days: int, severity: Severity) -> None:
    made = node(tmp_path, issued=utc_now(), founded=utc_now() - age_days * DAY)
    (found,) = await check_certificates(made)
    assert found.severity is severity
    assert "authority" in found.summary


async def test_a_members_certificate_is_told_a_day_before_its_end(tmp_path: Path) -> None:
    peer = answer("n2", status("n2", ("n1", "n2")), certificate_until=utc_now() + DAY / 2)
    taken = survey(status("n1", ("n1", "n2")), peer)
    (found,) = await check_certificates(node(tmp_path, issued=utc_now(), founded=utc_now(), taken=taken))
    assert found.severity is Severity.WARNING
    assert commands(found) == ["weftmesh token create --for n2"]


async def test_a_certificate_that_is_none_is_damage(tmp_path: Path) -> None:
    made = node(tmp_path, issued=utc_now(), founded=utc_now())
    (made.identity.directory / "node.pem").write_text("nothing")
    with pytest.raises(DataCorruptionError, match="holds no certificate"):
        await check_certificates(made)


@pytest.mark.parametrize("has_authority", [True, False])
async def test_parts_that_do_not_fit_are_named(tmp_path: Path, has_authority: bool) -> None:
    made = patient(tmp_path, has_unit=False)
    found_cluster(made.config, "test", "n1", "127.0.0.1:7450")
    assert [one.severity for one in check_credentials(made)] == [Severity.OK]
    (made.identity.directory / "node.key").write_bytes(key_to_pem(make_key()))
    if not has_authority:
        (made.identity.directory / "ca.key").unlink()

    (found,) = check_credentials(made)
    assert found.severity is Severity.FAILURE
    assert "does not belong" in found.evidence
    # A node that has the authority must not be told to throw it away.
    assert ("weftmesh members rm n1" in commands(found)) is not has_authority


async def test_a_missing_part_is_named(tmp_path: Path) -> None:
    made = patient(tmp_path, has_unit=False)
    found_cluster(made.config, "test", "n1", "127.0.0.1:7450")
    (made.identity.directory / "node.pem").unlink()
    (found,) = check_credentials(made)
    assert "node.pem is missing" in found.evidence


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
async def test_what_root_left_when_it_ran_the_node_by_hand_is_given_back(tmp_path: Path) -> None:
    made = patient(tmp_path, has_unit=False)
    found_cluster(made.config, "test", "n1", "127.0.0.1:7450")
    sh(f"mkdir -p {made.data_dir}/mesh/wal {made.data_dir}/lost+found && chown --recursive {NOBODY} {made.data_dir}")
    sh(f"chown root {made.data_dir}/lost+found")
    assert [one.severity for one in check_credentials(made)] == [Severity.OK]
    sh(f"chown root {made.data_dir}/mesh/wal")
    (found,) = check_credentials(made)
    assert f"may not use {made.data_dir}/mesh/wal" in found.summary
    sh(commands(found)[0])
    assert [one.severity for one in check_credentials(made)] == [Severity.OK]
