# shellcheck shell=bash disable=SC2317
# seed.sh: fills a site through its own APIs from seed/all.seed and seed/SITE.seed. A line is a kind and its arguments,
# each kind a function below; what exists already stays as it is. The lines after a `project` are done as its user.

site_seed() {
	say "$S" "seeding"
	api_login admin admin "$(secret admin)"
	seed_file all
	seed_file "$S"
	seed_settle
	say "$S" "seeded: $(seed_count)"
}

seed_file() { # NAME
	local kind arguments
	while read -r kind arguments <&3; do
		# shellcheck disable=SC2086 # the arguments are words
		case $kind in '' | '#'*) ;; *) "seed_$kind" $arguments ;; esac
	done 3<"$HERE/seed/$1.seed"
}

seed_flavor() { # ID NAME VCPUS RAM DISK
	ensure_object nova flavors flavor "$2" "{\"id\": \"$1\", \"vcpus\": $3, \"ram\": $4, \"disk\": $5}" >/dev/null
}

seed_image() { # NAME: 1 MiB of noise
	[ -z "$(find_object glance images "$1")" ] || return 0
	local id
	id=$(jq -n --arg name "$1" \
		'{name: $name, disk_format: "raw", container_format: "bare", visibility: "public", min_disk: 1}' |
		api POST glance /images | jq -r .id)
	head -c 1M /dev/urandom | curl -sSf --max-time 120 -X PUT -H "X-Auth-Token: $TOKEN" --data-binary @- \
		-H 'Content-Type: application/octet-stream' "http://127.0.0.1:$(port glance)/v2/images/$id/file"
}

seed_external() { # NAME CIDR
	local id
	id=$(ensure_object neutron networks network "$1" '{"router:external": true, "shared": false,
		"provider:network_type": "flat", "provider:physical_network": "public"}')
	ensure_object neutron subnets subnet "$1" \
		"{\"network_id\": \"$id\", \"cidr\": \"$2\", \"ip_version\": 4, \"enable_dhcp\": false}" >/dev/null
}

seed_project() { # NAME USER: makes both, and goes on as USER
	local project user role
	api_login admin admin "$(secret admin)"
	project=$(ensure_object keystone projects project "$1" '{"domain_id": "default"}')
	user=$(ensure_object keystone users user "$2" \
		"{\"domain_id\": \"default\", \"default_project_id\": \"$project\", \"password\": \"$(secret "user-$2")\"}")
	role=$(find_object keystone roles member)
	api PUT keystone "/projects/$project/users/$user/roles/$role" >/dev/null
	PROJECT=$1
	api_login "$2" "$1" "$(secret "user-$2")"
}

seed_network() { # NAME CIDR: with its subnet, behind the project's router
	local network subnet router public
	public=$(find_object neutron networks public)
	network=$(ensure_object neutron networks network "$1" '{}')
	subnet=$(ensure_object neutron subnets subnet "$1" \
		"{\"network_id\": \"$network\", \"cidr\": \"$2\", \"ip_version\": 4}")
	router=$(ensure_object neutron routers router "$PROJECT-router" \
		"{\"external_gateway_info\": {\"network_id\": \"$public\"}}")
	[ "$(api GET neutron "/ports?device_id=$router&network_id=$network" | jq '.ports | length')" != 0 ] ||
		put_json neutron "/routers/$router/add_router_interface" "{\"subnet_id\": \"$subnet\"}" >/dev/null
}

seed_secgroup() { # NAME TCP-PORT...
	[ -z "$(find_object neutron security-groups "$1")" ] || return 0
	local id port
	id=$(ensure_object neutron security-groups security_group "$1" '{}')
	shift
	for port in "$@"; do
		echo "{\"security_group_rule\": {\"security_group_id\": \"$id\", \"direction\": \"ingress\",
			\"protocol\": \"tcp\", \"port_range_min\": $port, \"port_range_max\": $port}}" |
			api POST neutron /security-group-rules >/dev/null
	done
}

seed_keypair() { # NAME
	api GET nova /os-keypairs | jq -e --arg name "$1" 'any(.keypairs[]; .keypair.name == $name)' >/dev/null && return
	echo "{\"keypair\": {\"name\": \"$1\", \"type\": \"ssh\"}}" | api POST nova /os-keypairs >/dev/null
}

seed_server() { # NAME FLAVOR IMAGE NETWORK SECURITY-GROUP: does not wait
	ensure_object nova servers server "$1" "{
		\"flavorRef\": \"$(find_object nova flavors "$2")\", \"imageRef\": \"$(find_object glance images "$3")\",
		\"networks\": [{\"uuid\": \"$(find_object neutron networks "$4")\"}],
		\"security_groups\": [{\"name\": \"$5\"}], \"metadata\": {\"site\": \"$S\"}}" >/dev/null
}

seed_port() { # NAME NETWORK
	ensure_object neutron ports port "$1" "{\"network_id\": \"$(find_object neutron networks "$2")\"}" >/dev/null
}

volume_gone() { # NAME
	[ -z "$(find_object cinder volumes "$1")" ]
}

# Only the admin may ask this; any answer but a list with a pool in it, a refusal too, is a no.
scheduler_knows_pools() {
	api GET cinder /scheduler-stats/get_pools | jq -e '.pools | length > 0'
}

wait_for_pools() (# a shell of its own: the project's user stays logged in outside
	api_login admin admin "$(secret admin)"
	wait_until 180 "$S: cinder's scheduler has not heard of its back end, see $D/log/cinder-volume.log" scheduler_knows_pools
)

# Cinder's scheduler hears of its back end once a minute. Within the first minute it lets a volume wait for that; then it
# gives up at once, until it has heard. So it is asked first; a volume that failed before is made again.
seed_volume() { # NAME SIZE [SERVER]: attached to SERVER
	local volume server
	wait_for_pools
	volume=$(ensure_object cinder volumes volume "$1" "{\"size\": $2}")
	wait_status cinder volumes volume "$volume" '^(available|in-use|error)$'
	if [ "$(status_of cinder volumes volume "$volume")" = error ]; then
		say "$S" "volume $1 is in error, making it again"
		api DELETE cinder "/volumes/$volume" >/dev/null
		wait_until 60 "$S: volume $1 is not deleted" volume_gone "$1"
		volume=$(ensure_object cinder volumes volume "$1" "{\"size\": $2}")
	fi
	wait_status cinder volumes volume "$volume" '^(available|in-use)$'
	[ $# -gt 2 ] || return 0
	[ "$(status_of cinder volumes volume "$volume")" = available ] || return 0
	server=$(find_object nova servers "$3")
	wait_status nova servers server "$server" '^ACTIVE$'
	echo "{\"volumeAttachment\": {\"volumeId\": \"$volume\"}}" |
		api POST nova "/servers/$server/os-volume_attachments" >/dev/null
}

seed_snapshot() { # VOLUME NAME: `force`, because the volume may be in use
	local volume
	volume=$(find_object cinder volumes "$1")
	wait_status cinder volumes volume "$volume" '^(available|in-use)$'
	ensure_object cinder snapshots snapshot "$2" "{\"volume_id\": \"$volume\", \"force\": true}" >/dev/null
}

seed_float() { # SERVER
	local server port public
	server=$(find_object nova servers "$1")
	wait_status nova servers server "$server" '^ACTIVE$'
	port=$(api GET neutron "/ports?device_id=$server" | jq -r '.ports[0].id')
	[ "$(api GET neutron "/floatingips?port_id=$port" | jq '.floatingips | length')" = 0 ] || return 0
	public=$(find_object neutron networks public)
	echo "{\"floatingip\": {\"floating_network_id\": \"$public\", \"port_id\": \"$port\"}}" |
		api POST neutron /floatingips >/dev/null
}

status_of() { api GET "$1" "/$2/$4" | jq -r --arg kind "$3" '.[$kind].status'; } # SERVICE COLLECTION KIND ID

status_is() { [[ $(status_of "$1" "$2" "$3" "$4") =~ $5 ]]; }

wait_status() { # SERVICE COLLECTION KIND ID PATTERN
	wait_until 180 "$S: $3 $4 is not $5" status_is "$@"
}

seed_settle() { # every server ACTIVE, every volume at rest
	api_login admin admin "$(secret admin)"
	wait_until 300 "$S: servers are not ACTIVE, see $D/log/nova-compute.log" seed_settled
}

seed_settled() {
	api GET nova '/servers/detail?all_tenants=1' | jq -e 'all(.servers[]; .status == "ACTIVE")' &&
		api GET cinder '/volumes/detail?all_tenants=1' |
		jq -e 'all(.volumes[]; .status == "available" or .status == "in-use")'
}

seed_count() {
	echo "$(api GET nova '/servers?all_tenants=1' | jq '.servers | length') servers," \
		"$(api GET cinder '/volumes?all_tenants=1' | jq '.volumes | length') volumes," \
		"$(api GET neutron /networks | jq '.networks | length') networks," \
		"$(api GET neutron /ports | jq '.ports | length') ports"
}
