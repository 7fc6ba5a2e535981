# shellcheck shell=bash
# base.sh: what every script here starts from: strict mode, PATH, where things lie, progress lines with their time.

set -euo pipefail
shopt -s inherit_errexit nullglob

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${ISTHMUS_BUILD:-$REPO/build}
# shellcheck disable=SC2034 # for those who source this
CACHE=${ISTHMUS_CACHE:-$BUILD/cache}

# Debian's OpenStack modules belong to /usr/bin/python3; another python3 that comes first on PATH has none of them.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
# Everything here talks to loopback with its own certificates: no proxy, no foreign CA bundle, no foreign Python.
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY REQUESTS_CA_BUNDLE PYTHONPATH PYTHONHOME CDPATH

# One clock for a script and the scripts it calls.
export ISTHMUS_CLOCK=${ISTHMUS_CLOCK:-${EPOCHREALTIME/[.,]/}}

say() { # WHO TEXT...: one line of progress
	local ms=$(((${EPOCHREALTIME/[.,]/} - ISTHMUS_CLOCK) / 1000)) who=$1
	shift
	printf '%4d.%d s  %-7s %s\n' $((ms / 1000)) $((ms % 1000 / 100)) "$who" "$*"
}

die() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

need_root() {
	[ "$(id -u)" = 0 ] || die "run as root (try: sudo $0)"
}

# with_lock FILE COMMAND...: two runs at once would start everything twice
with_lock() {
	local lock=$1
	shift
	mkdir -p "$(dirname "$lock")"
	exec 9>"$lock"
	flock -n 9 || { echo "waiting for another run that holds $lock" >&2 && flock 9; }
	"$@"
}

# wait_until SECONDS WHAT COMMAND...: until COMMAND succeeds; after SECONDS says that WHAT did not happen and fails
wait_until() {
	local deadline=$((SECONDS + $1)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		((SECONDS < deadline)) || { echo "error: timed out: $what" >&2 && return 1; }
		sleep 0.2
	done
}

# wait_all PID...: waits for each background job, fails if one failed
wait_all() {
	local pid failed=0
	for pid in "$@"; do wait "$pid" || failed=1; done
	return $failed
}
