#!/bin/sh
# Run uv, the installer: the one of PATH if it is new enough, else one installed under build/.
# Needs Python 3.11 or newer (PYTHON=... names one) and makes uv use it.
set -eu

fail() {
    echo "$*" >&2
    exit 1
}

python_at_least_3_11() {
    for name in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    fail "Attune needs Python 3.11 or newer; ${PYTHON:-python3} is" \
        "'$(${PYTHON:-python3} -V 2>&1 || true)'. Name another: make PYTHON=/path/to/python3.12"
}

# Debian keeps what `python3 -m venv` needs in a package of its own.
need_venv() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null && return
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        fail "$1 cannot make virtual environments. As root: apt-get install python3-venv"
    fi
    echo "installing Debian's python3-venv" >&2
    apt-get -qq update >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends python3-venv >/dev/null
}

new_enough() {
    "$1" --version 2>/dev/null | awk '{ split($2, v, "."); exit !(v[1] > 0 || v[2] >= 8) }'
}

find_uv() {
    for program in "$(command -v uv || true)" "$PWD/build/tools/bin/uv"; do
        if [ -x "$program" ] && new_enough "$program"; then
            echo "$program"
            return
        fi
    done
    need_venv "$1"
    echo "installing uv into build/tools" >&2
    "$1" -m venv build/tools >&2
    build/tools/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.8,<1' >&2
    echo "$PWD/build/tools/bin/uv"
}

export UV_PYTHON_DOWNLOADS=never
UV_PYTHON=$(python_at_least_3_11)
export UV_PYTHON
uv=$(find_uv "$UV_PYTHON")
exec "$uv" "$@"
