#!/bin/bash
# Build the images without a container engine, index with one and let the other answer; README.md beside this.
#
#   tests/image/build.sh [WORK]     WORK: a folder for base, storage and volumes (default: a new one)
#
# EXTRA=gpu builds the GPU images (the service then runs on the CPU of this machine).
# TORCH=cpu builds with PyTorch's CPU wheels, where their index can be reached.
# TARGETS="indexer service" (the default) names the targets to build; "lab" can be added.
# PIP_INDEX_URL, UV_DEFAULT_INDEX and SSL_CERT_FILE are passed on to the build and not kept in it.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(realpath -m "${1:-$(mktemp -d)}")
extra=${EXTRA:-cpu}
read -ra targets <<<"${TARGETS:-indexer service}"
port=${PORT:-18917}
mkdir -p "$work/etc/uv"
store=(--root "$work/storage" --runroot "$work/run" --storage-driver overlay)
buildah() { command buildah "${store[@]}" "$@"; }
step() { printf '%s  %s\n' "$(date +%T)" "$*" >&2; }

base() { # Debian bookworm with Python 3.11: what python:3.11-slim-bookworm has, for our purposes.
    [ -d "$work/base/usr" ] || debootstrap --variant=minbase \
        --include=python3,python3-venv,ca-certificates bookworm "$work/base" >"$work/debootstrap.log"
    if buildah inspect --type image localhost/tusou-base >/dev/null 2>&1; then return; fi
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

build() { # TARGET
    buildah bud --layers --isolation chroot --network host --format docker \
        --target "$1" --tag "tusou-$1:$extra" \
        --build-arg BASE_IMAGE=localhost/tusou-base --build-arg EXTRA="$extra" \
        --build-arg TORCH="${TORCH:-locked}" --build-arg REVISION="$revision" \
        --volume "$work/etc/pip.conf:/etc/pip.conf:ro" \
        --volume "$work/etc/uv:/etc/uv:ro" \
        --volume "$work/etc/ca-certificates.crt:/etc/ssl/certs/ca-certificates.crt:ro" \
        . >"$work/build-$1.log" 2>&1 || { tail -n 40 "$work/build-$1.log" >&2; exit 1; }
}

mode=rw # of the volumes: compose lets the indexer write them, the service only read
run() { # As compose runs it: read-only root, no capability, two volumes. Replaces its shell.
    exec unshare --mount --propagation private bash -euc '
        root=$1 volumes=$2 mode=$3
        shift 3
        mount --bind "$root" "$root"
        mount -o remount,bind,ro "$root"
        for tree in /proc /sys /dev; do mount --rbind "$tree" "$root$tree"; done
        mount -t tmpfs -o size=1g,mode=1777,noexec,nosuid,nodev tmpfs "$root/tmp"
        mount --bind "$volumes/bundles" "$root/var/lib/tusou"
        mount --bind "$volumes/cache" "$root/var/cache/tusou"
        for volume in lib cache; do mount -o "remount,bind,$mode" "$root/var/$volume/tusou"; done
        exec chroot "$root" setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs \
            --bounding-set=-all --inh-caps=-all env -i -C /var/lib/tusou "$@"
    ' run "$root" "$work" "$mode" "${env[@]}" "$@"
}

start() { # TARGET: mount its image for `run`, and check what the image says about itself
    container=$(buildah from "localhost/tusou-$1:$extra")
    root=$(buildah mount "$container")
    [ "$(config "$1" .OCIv1.Config.User)" = 10001:10001 ]
    [ "$(config "$1" 'index .OCIv1.Config.Labels "org.opencontainers.image.revision"')" = "$revision" ]
    mapfile -t env < <(config "$1" 'range .OCIv1.Config.Env}}{{println .}}{{end')
    for file in LICENSE NOTICE sbom.json; do [ -s "$root/usr/share/doc/tusou/$file" ]; done
    step "$1: $(run python -c "import importlib.metadata as m, json
listed = {p['name'] for p in json.load(open('/usr/share/doc/tusou/sbom.json'))['components']}
installed = {d.metadata['Name'] for d in m.distributions()}
assert listed == installed, listed ^ installed
charts = {'matplotlib', 'fonttools'} & installed
assert bool(charts) == ('$1' == 'lab'), charts
print(len(installed), 'packages, all of them listed')")"
}

make_bundle() {
    rm -rf "$work/bundles" "$work/cache"
    mkdir "$work/bundles" "$work/cache"
    chown 10001:10001 "$work/bundles" "$work/cache"
    start indexer
    mode=rw
    for _ in 1 2; do
        (run tusou index /opt/toy/MR_test_imgs.tsv --out bundle --model demo) 2>/dev/null
    done
    buildah rm "$container" >/dev/null
}

answer() {
    start service
    step "what it may: $(run id -u), $(run grep -h -e CapBnd -e NoNewPrivs /proc/self/status | xargs)"
    for place in /opt/tusou/x /opt/toy/x /etc/x; do
        (run touch "$place") 2>/dev/null && fail "the user can write $place"
    done

    mode=ro
    (run touch bundle/x) 2>/dev/null && fail "the service can write the bundle"
    run TUSOU_HOST=127.0.0.1 TUSOU_PORT="$port" tusou serve >"$work/serve.log" 2>&1 &
    service=$!
    trap 'kill "$service" 2>/dev/null || true' EXIT
    for _ in $(seq 90); do
        (run TUSOU_PORT="$port" python -m tusou_service.healthcheck) && break
        kill -0 "$service" || { tail -n 20 "$work/serve.log" >&2; fail "the service ended"; }
        sleep 1
    done
    step "healthy"
    (run tusou query 红色碎花吊带裙 --top-k 3 --url "http://127.0.0.1:$port")
    (run python -c "import urllib.request as http
image = http.urlopen('http://127.0.0.1:$port/items/30000000/image')
print(image.headers['content-type'], len(image.read()), 'bytes')")
    kill -TERM "$service"
    wait "$service" || fail "exit $? after SIGTERM"
    step "drained, exit 0"
    buildah rm "$container" >/dev/null
}

config() { buildah inspect --type image --format "{{$2}}" "localhost/tusou-$1:$extra"; }
fail() { echo "$*" >&2; exit 1; }

revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
step "base" && base
mirror
for target in "${targets[@]}"; do
    step "build $target, EXTRA=$extra" && build "$target"
    step "built: $(buildah images --format '{{.Size}}' "localhost/tusou-$target:$extra")"
done
[[ " ${targets[*]} " != *" lab "* ]] || { start lab && buildah rm "$container" >/dev/null; }
step "index" && make_bundle
answer
