"""What happened to a node's certificates or to an authority, as text for people and for failing tests."""

from __future__ import annotations

from weftmesh.core.trust.store import Store


def story_of(store: Store, key: str) -> str:
    """Lines about a node, a serial, or an authority's sha256."""
    lines = [
        f"  shows {one.serial} of {one.authority[:16]}, trusts {', '.join(each[:16] for each in one.trusted)}"
        for one in store.certificates
        if key in (one.node, one.serial)
    ]
    lines += [
        f"  {one.serial or 'everything until then'} revoked by {one.actor} at {one.stamp} ({one.why})"
        + (f", {len(one.allowed_keys)} keys given since" if one.allowed_keys else "")
        for one in store.revocations
        if key in (one.node, one.serial)
    ]
    lines += [
        f"  authority {one.state.name.lower()} by {one.actor} at {one.stamp}"
        for one in store.authorities
        if one.sha256 == key
    ]
    return "\n".join([f"{key} at revision {store.revision}", *(lines or ["  nothing is known"])])
