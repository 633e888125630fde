"""Builds the RPMs: bundles the wheels of the lock files, and hands rpmbuild a tree that is the same every time.

Run by Python 3.12, since that compiles the modules: `make rpm`, or `RELEASE=1 make rpm` for the small packages.
"""

from __future__ import annotations

import argparse
import compileall
import os
import shutil
import subprocess
import sys
import tarfile
import time
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from py_compile import PycInvalidationMode

from sbom import bill
from wheels import Wheel, fetch, own_wheel

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
BUNDLE = PurePosixPath("/usr/lib/weftmesh")
SITE = PurePosixPath("lib/python3.12/site-packages")
TIME_S = 1_795_132_800
"""Of every file: 2026-11-20, as in the changelog of the spec file."""
ROUTER = PurePosixPath("weftmesh/router")
LEARNER = PurePosixPath("weftmesh/learner")
MOVED = {
    "docs/": "",
    "../docs/": "../",
    "../examples/": "examples/",
    "../packaging/monitoring": "../../weftmesh/monitoring",
}
"""Where links of documents lead to in the package."""
FAST, SMALL = "w3.zstdio", "w19.zstdio"
MIB = 1024 * 1024


def main() -> None:
    """Build."""
    if sys.version_info[:2] != (3, 12):
        sys.exit("run this with Python 3.12: the modules are compiled for it")
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets in compiled modules
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {"PYTHONHASHSEED": "0"})  # noqa: S606
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=ROOT / "build/rpm")
    parser.add_argument("--wheels", type=Path, default=ROOT / "build/wheels", help="kept between builds")
    parser.add_argument("--release", type=int, default=1, help="the number of this build of the version")
    parser.add_argument("--small", action="store_true", help="minutes for a smaller package")
    parser.add_argument("--selinux", action="store_true", help="with the policy, compiled against this machine's")
    found = parser.parse_args()
    began_s = time.monotonic()
    options = ["--with", "selinux"] if found.selinux else []
    defines = {"rel": str(found.release), "payload": SMALL if found.small else FAST}
    packages = build(found.to.absolute(), found.wheels.absolute(), defines, options)
    for package in packages:
        print(f"{package}: {package.stat().st_size / MIB:.1f} MiB")
    print(f"built in {time.monotonic() - began_s:.0f} s")


def build(directory: Path, cache: Path, defines: Mapping[str, str], options: Sequence[str]) -> list[Path]:
    """Make every package; returns their paths."""
    shutil.rmtree(directory, ignore_errors=True)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    base, wide = fetch(ROOT / "requirements/base.txt", cache), fetch(ROOT / "requirements/learner.txt", cache)
    names = {one.name for one in base}
    learner = [one for one in wide if one.name not in names]
    tree = directory / f"weftmesh-{version}"
    lists = lay_out(tree, [own_wheel(ROOT, directory / "own"), *base], learner)
    sources = directory / "SOURCES"
    sources.mkdir()
    for name, paths in lists.items():
        (sources / f"{name}.files").write_text("".join(f"{path}\n" for path in paths))
    for component, bundled in (("weftmesh", base), ("weftmesh-learner", learner)):
        (tree / f"{component}.cdx.json").write_text(bill(component, version, bundled))
        (sources / f"{component}-bundled.inc").write_text("".join(map(provides, bundled)))
    shutil.copy(ROOT / "systemd/sysusers.conf", sources)
    pack(tree, sources / f"{tree.name}.tar")
    return rpmbuild(directory, {"_topdir": str(directory), "ver": version, **defines}, options)


def lay_out(tree: Path, base: Iterable[Wheel], learner: Iterable[Wheel]) -> dict[str, list[str]]:
    """Make the tree that the spec file installs from; returns the bundle's entries of each package."""
    bundle = tree / "bundle"
    site = bundle / SITE
    site.mkdir(parents=True)
    for wheel in base:
        wheel.unpack(site)
    for_learner = {path for wheel in learner for path in wheel.unpack(site)}
    (bundle / "bin").mkdir()
    (bundle / "bin/python").symlink_to("/usr/bin/python3.12")
    (bundle / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.12\n")
    shutil.copy(ROOT / "systemd/nightly-backup.sh", bundle / "bin/nightly-backup")
    shutil.copytree(ROOT / "systemd", tree / "systemd")
    shutil.copytree(ROOT / "packaging/selinux", tree / "selinux")
    shutil.copytree(ROOT / "proto", tree / "proto", ignore=shutil.ignore_patterns("*.py*", "__pycache__"))
    shutil.copytree(ROOT / "packaging/monitoring", tree / "monitoring", ignore=shutil.ignore_patterns("*_test.yml"))
    shutil.copy(ROOT / "LICENSE", tree)
    lay_out_documents(tree / "documents")
    for name in ("weftmesh", "weftmeshd", "backup.env.example"):
        shutil.copy(HERE / name, tree)
    environment = {"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.environ["PATH"]}
    subprocess.run([sys.executable, str(HERE / "manuals.py"), str(tree / "made")], check=True, env=environment)
    compile_modules(site)
    return entries(bundle, for_learner)


def lay_out_documents(directory: Path) -> None:
    """Make the directory of documents: flat, and links between documents lead from there to there."""
    shutil.copytree(ROOT / "docs", directory)
    shutil.copytree(ROOT / "examples", directory / "examples", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for name in ("README.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, directory)
    for path in [*directory.glob("*.md"), *directory.glob("examples/*.md")]:
        text = path.read_text()
        for here, there in MOVED.items():
            text = text.replace(f"]({here}", f"]({there}")
        path.write_text(text)


def compile_modules(site: Path) -> None:
    """Compile every module, so that nothing is written at run time and nothing depends on a file's time.

    One after the other: what a process compiled before shows in how the next module's constants refer to one another.
    """
    for path in site.rglob("*"):
        os.utime(path, (TIME_S, TIME_S), follow_symlinks=False)
    compileall.compile_dir(
        site,
        quiet=2,
        stripdir=str(site),
        prependdir=str(BUNDLE / SITE),
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
    )


def entries(bundle: Path, for_learner: set[PurePosixPath]) -> dict[str, list[str]]:
    """Lines of %files for each package: who has a directory's files alone has the directory."""
    lists: dict[str, list[str]] = {"base": [], "router": [], "learner": []}
    owners: dict[PurePosixPath, set[str]] = {}
    files = sorted(
        PurePosixPath(path.relative_to(bundle)) for path in bundle.rglob("*") if not path.is_dir() or path.is_symlink()
    )
    for path in files:
        owner = owner_of(path, for_learner)
        lists[owner].append(f'"{BUNDLE / path}"')
        for parent in path.parents:
            owners.setdefault(parent, set()).add(owner)
    for directory, found in sorted(owners.items()):
        owner = found.pop() if len(found) == 1 else "base"
        lists[owner].append(f'%dir "{BUNDLE / directory}"')
    return lists


def owner_of(path: PurePosixPath, for_learner: set[PurePosixPath]) -> str:
    """Which package a file of the bundle belongs to."""
    if not path.is_relative_to(SITE):
        return "base"
    inside = path.relative_to(SITE)
    source = inside.parent.parent / f"{inside.name.split('.')[0]}.py" if inside.parent.name == "__pycache__" else inside
    if inside.is_relative_to(ROUTER):
        return "router"
    return "learner" if inside.is_relative_to(LEARNER) or source in for_learner else "base"


def provides(wheel: Wheel) -> str:
    """The line of the spec file that owns up to a bundled distribution."""
    return f"Provides: bundled(python3dist({wheel.name})) = {wheel.version}\n"


def pack(tree: Path, archive: Path) -> None:
    """Put the tree into an archive in which nothing depends on where and when it was made."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        member.mtime = TIME_S
        return member

    with tarfile.open(archive, "w") as tar:  # `add` goes by name
        tar.add(tree, tree.name, filter=plain)


def rpmbuild(directory: Path, defines: Mapping[str, str], options: Sequence[str]) -> list[Path]:
    """Run rpmbuild; its words are in rpmbuild.log."""
    arguments = [word for name, value in defines.items() for word in ("--define", f"{name} {value}")]
    with (directory / "rpmbuild.log").open("w") as log:
        command = ["rpmbuild", "-bb", *options, *arguments, str(HERE / "weftmesh.spec")]
        if subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode != 0:
            sys.exit(f"rpmbuild failed; {log.name} ends with:\n" + Path(log.name).read_text()[-3_000:])
    return sorted((directory / "RPMS").rglob("*.rpm"))


if __name__ == "__main__":
    main()
