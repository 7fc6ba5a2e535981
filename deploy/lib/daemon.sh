# shellcheck shell=bash
# daemon.sh: daemons without systemd: pid files that cannot lie, own process groups, logs in files.
#
# A pid file holds the pid, then the boot and the start time of the process. After a reboot the same pid may belong to
# anybody: only when all three fit is the process ours.

process_stamp() { # PID: which process this is, told apart from any later one with the same pid
	local stat
	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
	stat=${stat##*) } # the name in parentheses may hold anything
	# shellcheck disable=SC2086 # split into fields: state is the first, start time the twentieth
	set -- $stat
	[ "$1" != Z ] && echo "$(</proc/sys/kernel/random/boot_id) ${20}"
}

# spawn DIR NAME COMMAND...: pid to DIR/pid/NAME, output to DIR/log/NAME.log. Leads its own session, so that its pid is
# also its group; holds neither the caller's terminal nor the lock of with_lock.
spawn() {
	local dir=$1 name=$2
	shift 2
	mkdir -p "$dir/pid" "$dir/log"
	setsid "$@" >>"$dir/log/$name.log" 2>&1 </dev/null 9>&- &
	printf '%s\n%s\n' $! "$(process_stamp $! || echo gone)" >"$dir/pid/$name"
}

alive() { # DIR NAME
	local pid stamp
	{ read -r pid && read -r stamp; } 2>/dev/null <"$1/pid/$2" || return 1
	[ "$(process_stamp "$pid")" = "$stamp" ]
}

ensure() { # DIR NAME COMMAND...: spawn unless it is alive
	alive "$1" "$2" || spawn "$@"
}

# group_of DIR NAME: the process group to signal. A leader that died may leave children, which still hold its group
# (and so its number); a leader with another start time is a stranger.
group_of() {
	local pid stamp now
	{ read -r pid && read -r stamp; } 2>/dev/null <"$1/pid/$2" || return 1
	[ "${stamp%% *}" = "$(</proc/sys/kernel/random/boot_id)" ] || return 1
	now=$(process_stamp "$pid" || true)
	[ -z "$now" ] || [ "$now" = "$stamp" ] || return 1
	pgrep -g "$pid" -r R,S,D,T >/dev/null && echo "$pid"
}

signal_daemons() { # SIGNAL DIR NAME...: fails when nobody was left to hear it
	local signal=$1 dir=$2 name group heard=1
	shift 2
	for name in "$@"; do
		group=$(group_of "$dir" "$name") || continue
		kill -s "$signal" -- "-$group" 2>/dev/null && heard=0
	done
	return $heard
}

# stop_daemons SECONDS DIR NAME...: asks all of them at once, kills what is left after SECONDS (0: at once)
stop_daemons() {
	local seconds=$1 dir=$2 name
	shift 2
	if ((seconds > 0)) && signal_daemons TERM "$dir" "$@"; then
		local deadline=$((SECONDS + seconds))
		while ((SECONDS < deadline)) && signal_daemons 0 "$dir" "$@"; do sleep 0.2; done
	fi
	while signal_daemons KILL "$dir" "$@"; do sleep 0.1; done
	for name in "$@"; do rm -f "$dir/pid/$name"; done
}

daemons_of() { # DIR: names of all that have a pid file
	local file
	for file in "$1"/pid/*; do basename "$file"; done
}

listening() { # PORT
	[ -n "$(ss -Hltn "sport = :$1")" ]
}

# port_free PORT WHAT: refuses to start beside a stranger, whose answers would be taken for ours
port_free() {
	! listening "$1" || die "port $1 ($2) is taken: $(ss -Hltnp "sport = :$1" | grep -o 'users:.*' || echo unknown)"
}
