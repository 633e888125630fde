"""Plants one fault after the other and looks how many seeds, or which script, it takes to notice. See `--help`."""

from __future__ import annotations

import argparse
import importlib
import inspect
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.fakes import raft_cluster
from tests.simulation.ours import EngineDisk
from tests.simulation.planted import MUTANTS, Mutant
from tests.simulation.ports import MakeDisk
from tests.simulation.profiles import PROFILES
from tests.simulation.simulation import Simulation

SEEDS = 400
SCRIPTS = (
    "tests.simulation.test_scripts",
    "tests.unit.agent.raft.test_hazard_rules",
    "tests.unit.agent.raft.test_hazard_scenarios",
    "tests.unit.agent.raft.test_hazard_violations",
    "tests.unit.agent.raft.test_observers",
    "tests.unit.agent.raft.test_read_index",
)
"""Where the scenarios are."""
FIRST = 1


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant."""

    name: str
    caught_by: str
    """Empty when it survived."""
    took_s: float
    """Of processor time."""


def disk_of(mutant: Mutant) -> MakeDisk:
    """The engine with the fault."""
    return type("MutantDisk", (EngineDisk,), {"core_class": mutant.core_class, "log_class": mutant.log_class})


def fails_its_script(mutant: Mutant) -> bool:
    """Play the scenario made for this fault, with the fault."""
    modules = [importlib.import_module(name) for name in SCRIPTS]
    scripts = [vars(module)[name] for module in modules for name in vars(module) if name.startswith(mutant.script)]
    if len(scripts) != 1:
        raise LookupError(f"{len(scripts)} tests begin with {mutant.script}")
    script = scripts[0]
    fakes: Any = raft_cluster
    saved, fakes.HardenedSyncObj = fakes.HardenedSyncObj, mutant.core_class
    try:
        script(**({"core": "hardened"} if "core" in inspect.signature(script).parameters else {}))
    except Exception:  # noqa: BLE001 - whatever it is, the script noticed
        return True
    finally:
        fakes.HardenedSyncObj = saved
    return False


def hunt(name: str, seeds: int) -> Verdict:
    """Play its script, then schedules until one violates an invariant."""
    mutant, began_s = MUTANTS[name], time.process_time()
    if mutant.script and fails_its_script(mutant):
        return Verdict(name, f"script {mutant.script}", time.process_time() - began_s)
    profiles = [profile for profile in PROFILES if profile.name in mutant.profiles] or list(PROFILES)
    for seed in range(FIRST, FIRST + seeds):
        profile = profiles[seed % len(profiles)]
        result = Simulation(seed, make_disk=disk_of(mutant), profile=profile).run()
        if result.violation:
            caught = f"seed {seed - FIRST + 1} ({profile.name}): {result.kind}"
            return Verdict(name, caught, time.process_time() - began_s)
    return Verdict(name, "", time.process_time() - began_s)


def main() -> int:
    """Print a table; returns 1 when a mutant survives."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants", description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="for each, at most")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("names", nargs="*", help="only those whose name contains one of these words")
    options = parser.parse_args()
    names = [name for name in MUTANTS if not options.names or any(word in name for word in options.names)]
    survivors = []
    with ProcessPoolExecutor(options.jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        for verdict in pool.map(partial(hunt, seeds=options.seeds), names):
            print(f"{verdict.name:62} {(verdict.caught_by or 'SURVIVED')[:80]:80} {verdict.took_s:6.1f} s", flush=True)
            if not verdict.caught_by:
                survivors.append(verdict.name)
    print(
        f"{len(names) - len(survivors)} of {len(names)} caught" + "".join(f"; survived: {name}" for name in survivors)
    )
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
