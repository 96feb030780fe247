# Sourced by the scripts beside it: makes .venv from requirements.lock, once.
#
#   root                 the project's folder, an absolute path
#   say, fail            one line to the user on stderr; fail ends the script with 1
#   ensure_environment   leaves a complete .venv, its programs first on PATH
#
# The first run fetches packages; a run that finds the stamp of the same lock, pyproject and place
# does nothing and needs no network. Two runs at once wait for each other.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
venv="$root/.venv"
needed_gib=12

say() { printf '%s\n' "$*" >&2; }
fail() { say "breastlabel: $*"; exit 1; }

# Nothing here or below may call out at run time, telemetry and update checks included.
run_offline() {
    export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 HF_HUB_DISABLE_TELEMETRY=1 DO_NOT_TRACK=1
    export MLFLOW_DISABLE_TELEMETRY=true NO_ALBUMENTATIONS_UPDATE=1 PIP_DISABLE_PIP_VERSION_CHECK=1
}

find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3 python; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    fail "Python 3.11 is required and was not found; install it (Debian, Ubuntu: python3.11 and" \
        "python3.11-venv) or name it: PYTHON=/path/to/python3.11 $0"
}

environment_stamp() {
    { cat "$root/requirements.lock" "$root/pyproject.toml"; printf '%s\n' "$root"; } | sha256sum | cut -d' ' -f1
}

environment_is_ready() {
    [[ -f "$venv/.complete" && "$(cat "$venv/.complete")" == "$(environment_stamp)" ]] &&
        "$venv/bin/python" -c '' 2>/dev/null
}

check_disk() {
    local free_gib
    free_gib=$(($(df -Pk "$root" | awk 'NR == 2 { print $4 }') / 1024 / 1024))
    ((free_gib >= needed_gib)) ||
        say "warning: the environment takes about 9 GiB and its fetching some more; $free_gib GiB are free in $root"
}

# A folder that was copied or moved has programs that point at the old place: start again, but keep
# the lock file that this process holds.
empty_environment() {
    find "$venv" -mindepth 1 -maxdepth 1 ! -name .making -exec rm -rf {} +
}

install_packages() {
    local installer="$venv/.installer.txt"
    # uv's own pinned lines of the lock, so that the installer is checked by hash as well.
    awk '/^[A-Za-z0-9]/ { wanted = /^uv==/ } wanted' "$root/requirements.lock" >"$installer"
    say "[2/4] fetching the installer"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
        -r "$installer" >&2 ||
        fail "the packages cannot be fetched: the first run needs the package index (or a mirror of it:" \
            "set PIP_INDEX_URL); connect and run $0 again"
    rm -f "$installer"

    say "[3/4] fetching and installing the packages of requirements.lock (several GB the first time)"
    # uv does not read pip's settings; hand on those that matter here.
    local options=() link
    if [[ -n "${PIP_NO_INDEX:-}" ]]; then
        options+=(--no-index --offline)
        for link in ${PIP_FIND_LINKS:-}; do options+=(--find-links "$link"); done
    elif [[ -n "${PIP_INDEX_URL:-}" && -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ]]; then
        export UV_DEFAULT_INDEX="$PIP_INDEX_URL"
    fi
    # The system's certificates, as pip and browsers take them: many hospitals have their own authority.
    export UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-300}" UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-1}"
    if ! "$venv/bin/uv" pip sync --python "$venv/bin/python" --require-hashes "${options[@]}" \
        "$root/requirements.lock" >&2; then
        say "uv did not succeed; trying pip, which is slower"
        # Without resolving: the lock is complete, and pip refuses requirements with extras beside hashes.
        "$venv/bin/python" -m pip install --disable-pip-version-check --require-hashes --no-deps \
            -r "$root/requirements.lock" >&2 ||
            fail "the packages of requirements.lock could not be installed; the reason stands above." \
                "Check the network and the free disk space, then run $0 again"
    fi
}

ensure_environment() {
    run_offline
    export PYTHONNOUSERSITE=1
    unset PYTHONPATH PYTHONHOME
    if ! environment_is_ready; then
        command -v flock >/dev/null || fail "flock is required and was not found; install util-linux"
        mkdir -p "$venv" || fail "$venv cannot be made; the project's folder must be writable"
        # Not .venv/.lock: uv takes that one itself.
        exec 9>"$venv/.making" || fail "$venv/.making cannot be written; the project's folder must be writable"
        if ! flock -n 9; then
            say "another run is making the environment; waiting for it"
            flock 9
        fi
        environment_is_ready || make_environment
        exec 9>&-
    fi
    export VIRTUAL_ENV="$venv" PATH="$venv/bin:$PATH"
    keep_bytecode
}

# Where the shell forbids bytecode, every process would compile the libraries anew: ten seconds for a server.
# Here it lies within the environment, and the source tree stays free of it.
keep_bytecode() {
    unset PYTHONDONTWRITEBYTECODE
    export PYTHONPYCACHEPREFIX="$venv/.bytecode"
}

make_environment() {
    local python previous
    # Called in a subshell, find_python's own failure must end this script too.
    python="$(find_python)" || exit 1
    "$python" -c 'import venv, ensurepip' 2>/dev/null ||
        fail "Python's venv module is required and is not there; install it (Debian, Ubuntu: python3.11-venv)"
    check_disk
    say "[1/4] making $venv"
    previous="$(cat "$venv/.place" 2>/dev/null || true)"
    rm -f "$venv/.complete"
    [[ "$previous" == "$root" ]] && "$venv/bin/python" -c 'import pip' 2>/dev/null || {
        empty_environment
        "$python" -m venv "$venv" >&2 || fail "$venv could not be made; the reason stands above"
        printf '%s\n' "$root" >"$venv/.place"
    }
    install_packages
    say "[4/4] installing breastlabel itself"
    "$venv/bin/uv" pip install --quiet --offline --python "$venv/bin/python" --no-deps --no-build-isolation \
        --editable "$root" >&2 || fail "breastlabel itself could not be installed; the reason stands above"
    # The data folder of monailabel's wheel is named after another version, so uv leaves its command out.
    if [[ ! -e "$venv/bin/monailabel" ]]; then
        printf '#!/bin/sh\nexec "%s/bin/python" -m monailabel.main "$@"\n' "$venv" >"$venv/bin/monailabel"
        chmod +x "$venv/bin/monailabel"
    fi
    environment_stamp >"$venv/.complete"
    say "environment ready"
}
