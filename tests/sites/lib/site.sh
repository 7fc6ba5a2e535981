# shellcheck shell=bash
# site.sh: the life of one site: made, started, ready, killed, stopped.

# Each step is skipped if it was done before, so that `up` works on nothing, on half a site and on a running one.
site_up() {
	local since name
	if site_alive && site_ready "$(db_now 60)"; then say "$S" "is up already" && return; fi
	since=$(db_now 0)
	site_ports_free
	site_schemas
	keystone_bootstrap
	site_start_keystone
	keystone_catalog
	say "$S" "Keystone is up, starting the others"
	for name in "${DAEMONS[@]}"; do site_start_one "$name"; done
	site_wait "$since"
	site_map_host
	say "$S" "up: $AUTH_URL"
}

site_start_keystone() {
	site_start_one memcached
	site_start_one keystone
	wait_until 120 "$S: Keystone, see $D/log/keystone.log" answers keystone
}

site_start_one() { # NAME of a daemon: nothing if it runs already
	case $1 in
	memcached) ensure "$D" "$1" memcached -u root -l 127.0.0.1 -p "$(port memcached)" -m 32 -t 1 -U 0 ;;
	keystone) OS_KEYSTONE_CONFIG_FILES=$D/keystone/keystone.conf site_uwsgi "$1" keystone ;;
	placement) OS_PLACEMENT_CONFIG_DIR=$D/placement site_uwsgi "$1" placement ;;
	glance) OS_GLANCE_CONFIG_DIR=$D/glance site_uwsgi "$1" glance ;;
	nova-api) OS_NOVA_CONFIG_DIR=$D/nova site_uwsgi "$1" nova ;;
	# cinder reads its arguments, not the environment
	cinder-api) site_uwsgi "$1" cinder \
		--pyargv "--config-file $D/cinder/cinder.conf --log-file $D/log/cinder-api.log" ;;
	neutron) site_python "$1" neutron-server --config-file "$D/neutron/neutron.conf" ;;
	nova-*) site_python "$1" "$1" --config-file "$D/nova/nova.conf" ;;
	cinder-*) site_python "$1" "$1" --config-file "$D/cinder/cinder.conf" ;;
	*) die "no such daemon: $1" ;;
	esac
}

site_uwsgi() { # NAME SERVICE OPTION...
	local name=$1 service=$2
	shift 2
	PYTHONPATH=$SHIMS ensure "$D" "$name" uwsgi --ini "$D/$service/uwsgi.ini" "$@"
}

site_python() { # NAME PROGRAM ARGUMENT...
	local name=$1
	shift
	PYTHONPATH=$SHIMS ensure "$D" "$name" /usr/bin/python3 "$SHIMS/launch.py" "$@"
}

answers() { # SERVICE: any HTTP answer will do
	curl -s -o /dev/null --max-time 5 "http://127.0.0.1:$(port "$1")/"
}

site_ports_free() {
	local name
	for name in memcached keystone "${DAEMONS[@]}"; do
		case $name in nova-api | cinder-api | memcached | keystone | placement | glance | neutron) ;; *) continue ;; esac
		alive "$D" "$name" || port_free "$(port "${name%-api}")" "$name of $S"
	done
}

db_now() { # SECONDS ago, as the database writes it
	sql -N -e "SELECT UTC_TIMESTAMP() - INTERVAL $1 SECOND"
}

site_wait() { # SINCE: ten minutes for a machine with other work to do; a daemon that died will not come back
	local deadline=$((SECONDS + 600))
	until site_ready "$1"; do
		site_alive || die "$S: $(site_dead) died, see $D/log"
		((SECONDS < deadline)) || die "$S is not ready, see $D/log"
		sleep 0.5
	done
}

# site_ready SINCE: every API answers, and every worker has reported after SINCE. Rows alone prove nothing: those
# of the last run say the same.
site_ready() {
	local service
	[ "$(site_fresh "$1")" = 5 ] || return 1
	for service in "${APIS[@]}"; do answers "$service" || return 1; done
}

site_fresh() { # SINCE: how many of the five workers have reported since; nova-osapi_compute, the API, never reports
	local seen="GREATEST(created_at, IFNULL(updated_at, created_at)) >= '$1'"
	sql -N <<-END
		SELECT (SELECT COUNT(*) FROM ${S}_nova.services WHERE deleted=0 AND topic IS NOT NULL AND $seen)
			+ (SELECT COUNT(*) FROM ${S}_cinder.services WHERE deleted=0 AND $seen)
			- 100 * (SELECT COUNT(*) = 0 FROM ${S}_nova.compute_nodes WHERE deleted=0)
	END
}

site_dead() { # the daemons that do not run
	local name dead=()
	for name in memcached keystone "${DAEMONS[@]}"; do alive "$D" "$name" || dead+=("$name"); done
	echo "${dead[*]}"
}

site_alive() { [ -z "$(site_dead)" ]; }

site_kill() { # [SECONDS]: as if the power had gone, or with SECONDS for an orderly end
	local names
	mapfile -t names < <(daemons_of "$D")
	stop_daemons "${1:-0}" "$D" "${names[@]}"
}

site_status() {
	local dead
	dead=$(site_dead)
	case $dead in
	'') echo "$S       up    $AUTH_URL" ;;
	"memcached keystone ${DAEMONS[*]}") echo "$S       down" ;;
	*) echo "$S       part  not running: $dead" ;;
	esac
	[ -z "$dead" ]
}
