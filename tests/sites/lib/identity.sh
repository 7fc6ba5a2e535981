# shellcheck shell=bash
# identity.sh: a site's Keystone: keys, administrator, service users and catalog.

# `keystone-manage fernet_setup` in a fraction of its time: a key is 32 random bytes in URL-safe base64
keystone_keys() {
	local folder key
	for folder in fernet credential; do
		(umask 077 && mkdir -p "$D/keystone/$folder")
		for key in 0 1; do
			[ -s "$D/keystone/$folder/$key" ] ||
				(umask 077 && openssl rand -base64 32 | tr '+/' '-_' | tr -d '\n' >"$D/keystone/$folder/$key")
		done
	done
}

keystone_bootstrap() {
	done_before bootstrap && return
	keystone_keys
	keystone-manage --config-file "$D/keystone/keystone.conf" bootstrap --bootstrap-password "$(secret admin)" \
		--bootstrap-region-id "$S" --bootstrap-admin-url "$AUTH_URL" --bootstrap-internal-url "$AUTH_URL" \
		--bootstrap-public-url "$AUTH_URL" >"$D/log/bootstrap.log" 2>&1 || die "see $D/log/bootstrap.log"
	mark_done bootstrap
}

# Service users, roles, services and endpoints over REST with one token: some forty runs of the client otherwise.
keystone_catalog() {
	done_before catalog && return
	api_login admin admin "$(secret admin)"
	local project member service role
	project=$(ensure_object keystone projects project service '{"domain_id": "default"}')
	role=$(ensure_object keystone roles role service '{}')
	member=$(find_object keystone roles admin)
	for service in nova placement glance neutron cinder; do catalog_user $service "$project" "$member" "$role"; done
	catalog_service nova compute /v2.1
	catalog_service placement placement ''
	catalog_service glance image ''
	catalog_service neutron network ''
	catalog_service cinder volumev3 '/v3/%(project_id)s' cinderv3
	mark_done catalog
}

catalog_user() { # SERVICE PROJECT ROLE...
	local service=$1 project=$2 user role
	shift 2
	user=$(ensure_object keystone users user "$service" "$(jq -n --arg password "$(secret service)" \
		'{domain_id: "default", password: $password}')")
	for role in "$@"; do api PUT keystone "/projects/$project/users/$user/roles/$role" >/dev/null; done
}

catalog_service() { # SERVICE TYPE PATH [NAME]
	local url interface id
	url=http://127.0.0.1:$(port "$1")$3
	id=$(ensure_object keystone services service "${4:-$1}" "{\"type\": \"$2\"}")
	for interface in public internal admin; do
		[ "$(api GET keystone "/endpoints?service_id=$id&interface=$interface" | jq '.endpoints | length')" = 0 ] ||
			continue
		jq -n --arg url "$url" --arg region "$S" --arg interface $interface --arg service "$id" \
			'{endpoint: {service_id: $service, interface: $interface, region_id: $region, url: $url}}' |
			api POST keystone /endpoints >/dev/null
	done
}

# clouds_yaml FILE: for openstack, SDKs and the agents: entries of each site's administrator, and of the user of each of
# its projects. What stands in FILE.more follows.
clouds_yaml() {
	local site
	mkdir -p "$(dirname "$1")"
	(umask 077 && {
		echo "clouds:"
		for site in "${SITES[@]}"; do (use_site "$site" && clouds_entries); done
		[ ! -e "$1.more" ] || cat "$1.more"
	} >"$1.new" && mv "$1.new" "$1")
}

clouds_entries() {
	local kind project user
	clouds_entry "site-$S" admin admin "$(secret admin)"
	while read -r kind project user _; do
		[ "$kind" != project ] || clouds_entry "$S-$project" "$user" "$project" "$(secret "user-$user")"
	done <"$HERE/seed/$S.seed"
}

clouds_entry() { # NAME USER PROJECT PASSWORD
	cat <<-END
		  $1:
		    region_name: $S
		    identity_api_version: 3
		    auth:
		      auth_url: $AUTH_URL
		      username: $2
		      password: "$4"
		      project_name: $3
		      user_domain_name: Default
		      project_domain_name: Default
	END
}
