# shellcheck shell=bash
# build.sh: compiles Isthmus from this checkout. Sourced after base.sh and packages.sh.

# What a build needs, and nothing that only tests or the demo's sites need.
BUILD_PACKAGES=(gcc cmake ninja-build pkg-config protobuf-c-compiler libprotobuf-c-dev librabbitmq-dev libjansson-dev
	libcurl4-openssl-dev libuv1-dev libbsd-dev libmicrohttpd-dev libssl-dev libsodium-dev libyaml-dev libsqlite3-dev
	libzstd-dev liblmdb-dev libsmartcols-dev libcmocka-dev)

# build_preset PRESET [TARGET...]: configures and compiles build/PRESET, quietly; the log is shown when it fails
build_preset() {
	local preset=$1 log=$BUILD/log/build-$1.log
	shift
	mkdir -p "$BUILD/log"
	{ cmake -S "$REPO" -B "$BUILD/$preset" --preset "$preset" && ninja -C "$BUILD/$preset" "$@"; } >"$log" 2>&1 || {
		grep -E 'error|warning|FAILED' "$log" | head -40 >&2
		die "the build failed, see $log"
	}
}
