# shellcheck shell=bash
# packages.sh: installs Debian packages without letting their daemons start.

POLICY=/usr/sbin/policy-rc.d

packages_missing() { # PACKAGE...: those that are not installed
	local name
	for name in "$@"; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || echo "$name"
	done
}

# MariaDB, RabbitMQ and memcached would start on their default ports as soon as they are installed. Debian asks
# policy-rc.d first: 101 means no. Whatever policy the machine had comes back afterwards, also when the install fails.
daemons_forbidden() { # COMMAND...
	(
		if [ -e "$POLICY" ]; then mv "$POLICY" "$POLICY.isthmus"; fi
		trap 'rm -f "$POLICY"; [ ! -e "$POLICY.isthmus" ] || mv "$POLICY.isthmus" "$POLICY"' EXIT
		printf '#!/bin/sh\nexit 101\n' >"$POLICY"
		chmod 755 "$POLICY"
		"$@"
	)
}

apt_install() {
	DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=900 update &&
		DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=900 install -y --no-install-recommends "$@"
}

packages_ensure() { # LOG PACKAGE...
	local log=$1 missing
	shift
	mapfile -t missing < <(packages_missing "$@")
	((${#missing[@]})) || return 0
	mkdir -p "$(dirname "$log")"
	say install "${#missing[@]} packages and what they need, about two minutes (log: $log)"
	daemons_forbidden apt_install "${missing[@]}" >>"$log" 2>&1 </dev/null || die "apt-get failed, see $log"
	say install finished
}
