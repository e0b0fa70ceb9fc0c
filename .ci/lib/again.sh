# shellcheck shell=bash
# Sourced by .ci/run, needs $CACHE: tests, in two runs side by side, with a second try, alone, for the few that fail beside the others.
#
# Some tests kill processes and hold clocks against each other; on two busy cores one of thousands may fail for want of
# time alone. What fails twice fails. What passes the second time is named, for it is a defect of the test or a race.

AGAIN_AT_MOST=3 # more than that is no bad luck
APART=(tests/acceptance tests/contract tests/integration) # servers, processes, clocks: one after the other

side_by_side() { # backend, arguments of pytest; everything else runs beside the tests apart, on the other core
    local pid status=0 others=$CACHE/others.log
    with_second_try "$1" others "$2 ${APART[*]/#/--ignore=}" >"$others" 2>&1 &
    pid=$!
    with_second_try "$1" apart "$2 ${APART[*]}" || status=$?
    wait "$pid" || status=$?
    cat "$others"
    return "$status"
}

with_second_try() { # backend, name of the run, arguments of pytest
    local cache=.pytest_cache/$2 names
    rm -rf "$cache"
    TEST_BACKEND=$1 make --no-print-directory test ARGS="-o cache_dir=$cache $3" && return
    names=$(failed_tests "$cache" 2>/dev/null) || return 1
    mapfile -t names <<<"$names"
    if [ -z "${names[0]}" ] || [ "${#names[@]}" -gt "$AGAIN_AT_MOST" ]; then return 1; fi
    say "${#names[@]} failed beside all the others; once more, alone"
    TEST_BACKEND=$1 .venv/bin/python -m pytest -o cache_dir="$cache" -rs "${names[@]}" || return 1
    echo '!! FAILED ONCE, PASSED ALONE (a race, or a test without patience):'
    printf '!!   %s\n' "${names[@]}"
}

failed_tests() { # of the run with this cache
    .venv/bin/python -c 'import json, sys; print("\n".join(json.load(open(sys.argv[1]))))' "$1/v/cache/lastfailed"
}
