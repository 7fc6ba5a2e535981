# shellcheck shell=bash disable=SC2034
# names.sh: the sites' names, ports, folders and passwords. Site number N has the ports 10000 + 1000 N + offset.

SITES=(hkg lon sjc)
STATE=$BUILD/sites
HERE=$REPO/tests/sites
SHIMS=$HERE/shims

# the RabbitMQ of the sites: not the Isthmus bus, so that a fault of one is not a fault of the other
RABBIT=$STATE/rabbitmq RABBIT_PORT=15679 RABBIT_DIST=25679 RABBIT_EPMD=14369
DB_SOCKET=$STATE/db.sock

declare -A OFFSET=([keystone]=500 [nova]=774 [cinder]=776 [placement]=778 [glance]=292 [neutron]=696 [memcached]=211)
APIS=(keystone placement glance nova neutron cinder)
DAEMONS=(placement glance nova-api neutron cinder-api nova-conductor nova-scheduler nova-compute
	cinder-scheduler cinder-volume)
# biggest first: they are loaded side by side
SCHEMAS=(neutron nova nova_cell0 nova_api cinder keystone glance placement)

site_number() { # NAME
	local i
	for i in "${!SITES[@]}"; do [ "${SITES[i]}" = "$1" ] && echo $((i + 1)) && return; done
	die "no such site: $1 (there are: ${SITES[*]})"
}

# use_site NAME: sets what the functions below work on. `template` is no site: it owns the schemas that are copied.
use_site() {
	S=$1 D=$STATE/$1
	if [ "$S" = template ]; then BASE=20000; else BASE=$((10000 + 1000 * $(site_number "$S"))); fi
	mkdir -p "$D"
	AUTH_URL=http://127.0.0.1:$(port keystone)/v3
}

port() { echo $((BASE + OFFSET[$1])); } # SERVICE

# secret WHAT: a password of this site, made up at first use, the same ever after
secret() {
	local file=$D/secret/$1
	[ -s "$file" ] || (umask 077 && mkdir -p "$D/secret" && openssl rand -hex 16 >"$file")
	echo "$(<"$file")"
}

# marks: a step that was finished once is not done again, one that was cut off is
done_before() { [ -e "$D/done/$1" ]; }
mark_done() { mkdir -p "$D/done" && : >"$D/done/$1"; }

launch() { # PROGRAM ARGUMENT...: one of Debian's OpenStack programs, see shims/launch.py
	PYTHONPATH=$SHIMS /usr/bin/python3 "$SHIMS/launch.py" "$@"
}
