#!/bin/bash
# Build the image without a container engine and let its service answer; README.md beside this.
#
#   tests/image/build.sh [WORK]     WORK: a folder for base, storage and volumes (default: a new one)
#
# EXTRA=gpu builds the GPU image (its service then runs on the CPU of this machine).
# PIP_INDEX_URL, UV_DEFAULT_INDEX and SSL_CERT_FILE are passed on to the build and not kept in it.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(realpath -m "${1:-$(mktemp -d)}")
extra=${EXTRA:-cpu}
port=${PORT:-18917}
mkdir -p "$work"/{etc/uv,bundles,cache}
store=(--root "$work/storage" --runroot "$work/run" --storage-driver overlay)
buildah() { command buildah "${store[@]}" "$@"; }
step() { printf '%s  %s\n' "$(date +%T)" "$*" >&2; }

base() { # Debian bookworm with Python 3.11: what python:3.11-slim-bookworm has, for our purposes.
    [ -d "$work/base/usr" ] || debootstrap --variant=minbase \
        --include=python3,python3-venv,ca-certificates bookworm "$work/base" >"$work/debootstrap.log"
    local empty
    empty=$(buildah from scratch)
    buildah add --quiet "$empty" "$work/base" / >/dev/null
    buildah config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$empty"
    buildah commit --quiet --rm "$empty" tusou-base >/dev/null
}

mirror() { # How this machine reaches its package index, mounted for the time of the build.
    {
        echo "[global]"
        [ -z "${PIP_INDEX_URL:-}" ] || echo "index-url = $PIP_INDEX_URL"
        echo "cert = /etc/ssl/certs/ca-certificates.crt"
    } >"$work/etc/pip.conf"
    {
        [ -z "${UV_DEFAULT_INDEX:-}" ] || printf 'index = [{url = "%s", default = true}]\n' "$UV_DEFAULT_INDEX"
        echo "system-certs = true"
    } >"$work/etc/uv/uv.toml"
    cp "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$work/etc/ca-certificates.crt"
}

build() {
    buildah bud --isolation chroot --network host --format docker --tag "tusou:$extra" \
        --build-arg BASE_IMAGE=localhost/tusou-base --build-arg EXTRA="$extra" \
        --volume "$work/etc/pip.conf:/etc/pip.conf:ro" \
        --volume "$work/etc/uv:/etc/uv:ro" \
        --volume "$work/etc/ca-certificates.crt:/etc/ssl/certs/ca-certificates.crt:ro" \
        . >"$work/build.log" 2>&1 || { tail -n 40 "$work/build.log" >&2; exit 1; }
}

run() { # As compose runs it: the image's own user, no capability, two volumes.
    buildah run --isolation chroot --cap-drop ALL \
        --volume "$work/bundles:/var/lib/tusou" --volume "$work/cache:/var/cache/tusou" \
        "$container" -- "$@"
}

answer() {
    container=$(buildah from "localhost/tusou:$extra")
    chown 10001:10001 "$work/bundles" "$work/cache"
    step "as: $(run python -c 'import os; print(os.getuid(), os.getgid())')"
    if run python -c 'open("/opt/tusou/x", "w")' 2>/dev/null; then
        echo "the user can write into the installation" >&2
        exit 1
    fi
    run tusou index /opt/toy/MR_test_imgs.tsv --out /var/lib/tusou/bundle --model demo
    run tusou serve /var/lib/tusou/bundle --host 127.0.0.1 --port "$port" >"$work/serve.log" 2>&1 &
    trap 'tail -n 20 "$work/serve.log" >&2' ERR
    for _ in $(seq 60); do
        run env TUSOU_PORT="$port" python -m service.healthcheck && break
        sleep 1
    done
    step "healthy"
    run tusou query 红色碎花吊带裙 --url "http://127.0.0.1:$port"
    kill -TERM "$(pgrep -f "serve /var/lib/tusou/bundle --host 127.0.0.1 --port $port" | tail -n 1)"
    wait %1
    step "drained, exit 0"
}

step "base" && base
step "build EXTRA=$extra" && mirror && build
step "image: $(buildah images --format '{{.Size}}' "localhost/tusou:$extra")"
answer
