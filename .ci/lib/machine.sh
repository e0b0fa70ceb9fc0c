# shellcheck shell=bash
# Sourced by .ci/run: talking, finding Python, installing Debian packages. Needs $CACHE.

say() { printf '== [%4d s] %s\n' "$SECONDS" "$*"; }

quietly() { # command...; its output only where it fails
    "$@" >"$CACHE/quietly.log" 2>&1 || { tail -n 40 "$CACHE/quietly.log"; return 1; }
}

apt_install() { # package...; root on Debian only
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "needs $*, and only root on Debian can install it here"
        return 1
    fi
    local log=$CACHE/apt.log
    if [ ! -e "$CACHE/.apt-updated" ] || [ -n "$(find "$CACHE/.apt-updated" -mmin +360)" ]; then
        apt-get -qq update >"$log" 2>&1 || true # one dead mirror among several is no reason to stop
        touch "$CACHE/.apt-updated"
    fi
    say "apt: $*"
    DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 \
        apt-get -qq -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "$@" >>"$log" 2>&1 ||
        { tail -n 5 "$log"; return 1; }
}

debian_mirror() { # the mirror that this machine's own apt uses
    sed -n 's/^URIs: *//p; s/^deb \(\[[^]]*\] \)\?\([a-z+]*:[^ ]*\).*/\2/p' \
        /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null | head -n 1 || true
}

ensure_basics() { command -v make >/dev/null || apt_install make; }

ensure_browser() { # for the tests marked `browser`, which say so where there is none
    command -v chromium >/dev/null || apt_install chromium || echo "no chromium: tests marked 'browser' will not run"
}

pick_python() {
    local name path
    for name in ${CI_PYTHON:-python3 python3.13 python3.12 python3.11}; do
        path=$(command -v "$name") || continue
        if "$path" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$path"
            return
        fi
    done
    echo "no Python 3.11 or later on PATH" >&2
    return 1
}

new_venv() { # python folder; Debian's python3 without python3-venv has no ensurepip, so virtualenv steps in
    "$1" -m venv "$2" >"$CACHE/venv.log" 2>&1 && return
    rm -rf "$2"
    "$1" -m pip install --quiet --disable-pip-version-check --target "$CACHE/virtualenv" virtualenv
    PYTHONPATH=$CACHE/virtualenv "$1" -m virtualenv --quiet "$2"
}
