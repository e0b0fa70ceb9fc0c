# shellcheck shell=bash
# Sourced by .ci/run: a second try, alone, for the few tests that fail beside all the others.
#
# Some tests kill processes and hold clocks against each other; on two busy cores one of thousands may fail for want of
# time alone. What fails twice fails. What passes the second time is named, for it is a defect of the test or a race.

AGAIN_AT_MOST=3 # more than that is no bad luck

with_second_try() { # backend, target of make, arguments of pytest
    local failed=.pytest_cache/v/cache/lastfailed count names
    rm -f "$failed"
    TEST_BACKEND=$1 make --no-print-directory "$2" ARGS="$3" && return
    names=$(.venv/bin/python -c 'import json, sys; print("\n".join(json.load(open(sys.argv[1]))))' "$failed" 2>/dev/null) || return 1
    count=$(grep -c . <<<"$names" || true)
    if [ "$count" = 0 ] || [ "$count" -gt "$AGAIN_AT_MOST" ]; then return 1; fi
    say "$count failed beside all the others; once more, alone"
    TEST_BACKEND=$1 make --no-print-directory test ARGS="$3 --last-failed --last-failed-no-failures none" || return 1
    printf '!! FAILED ONCE, PASSED ALONE (a race, or a test without patience):\n%s\n' "$names"
}
