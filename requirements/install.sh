#!/bin/sh
# Installs a lock into an environment: install.sh UV PYTHON LOCK [TORCH]
#
# TORCH: locked (default): every file of the lock, with its hash. On Linux PyTorch then brings CUDA.
#        cpu: PyTorch from its own index of CPU wheels, the same version, without CUDA. The lock holds no
#             hashes of those files; all others are checked.
#        auto: cpu on Linux without an NVIDIA driver, and locked if that index cannot be reached.
set -eu
uv=$1 python=$2 lock=$3 torch=${4:-locked}
rest=$(mktemp)
trap 'rm -f "$rest"' EXIT

everything() { "$uv" pip sync --quiet --python "$python" --require-hashes "$lock"; }

without_cuda() {
    # Packages begin in the first column, their hashes do not.
    awk '/^[^ #]/ { keep = !/^(torch|torchvision|triton|nvidia-[^=]*|cuda-[^=]*)==/ } keep' "$lock" >"$rest"
    # One line each: torch==VERSION and torchvision==VERSION.
    pins=$(sed -n 's/^\(torch\(vision\)\{0,1\}==[^ ]*\).*/\1/p' "$lock")
    [ -n "$pins" ] || { echo "$lock has no torch" >&2; return 1; }
    "$uv" pip sync --quiet --python "$python" --require-hashes "$rest"
    # shellcheck disable=SC2086 # two words
    UV_HTTP_RETRIES=1 "$uv" pip install --quiet --python "$python" --no-deps --torch-backend cpu $pins
}

if [ "$torch" = auto ]; then
    torch=locked
    if [ "$(uname -s)" = Linux ] && [ ! -e /proc/driver/nvidia/version ]; then torch=fallback; fi
fi
case $torch in
locked) everything ;;
cpu) without_cuda ;;
fallback)
    without_cuda || {
        echo "PyTorch's CPU wheels could not be had: installing the locked ones, which bring CUDA." >&2
        everything
    }
    ;;
*) echo "TORCH is locked, cpu or auto, not $torch" >&2; exit 2 ;;
esac
