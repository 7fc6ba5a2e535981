# shellcheck shell=bash
# broker.sh: one RabbitMQ for all sites, a vhost and a user for each, defined at boot.

broker_start() {
	mkdir -p "$RABBIT"
	if ! alive "$RABBIT" rabbitmq; then
		rabbit_env "$RABBIT" isthsites "$RABBIT_PORT" "$RABBIT_DIST" "$RABBIT_EPMD" ""
		broker_conf >"$RABBIT/rabbitmq.conf"
		(umask 077 && broker_definitions >"$RABBIT/definitions.json")
		port_free "$RABBIT_PORT" "RabbitMQ of the sites"
	fi
	rabbit_start "$RABBIT"
}

broker_conf() {
	cat <<-END
		listeners.tcp.1 = 127.0.0.1:$RABBIT_PORT
		load_definitions = $RABBIT/definitions.json
		log.console = false
		log.file.level = warning
		vm_memory_high_watermark.absolute = 1GB
		disk_free_limit.absolute = 100MB
	END
}

broker_definitions() { # at boot: no rabbitmqctl call, which takes seconds each, and no user guest
	local site
	for site in "${SITES[@]}"; do (use_site "$site" && broker_site); done |
		jq -s '{users: map(.users), vhosts: map(.vhosts), permissions: map(.permissions), policies: map(.policies)}'
}

# oslo.messaging declares notification queues that nobody reads: the policy caps them, or they would grow for ever
broker_site() {
	jq -n --arg site "$S" --arg hash "$(broker_hash "$(secret rabbit)")" '{
		users: {name: $site, password_hash: $hash, hashing_algorithm: "rabbit_password_hashing_sha256", tags: []},
		vhosts: {name: $site},
		permissions: {user: $site, vhost: $site, configure: ".*", write: ".*", read: ".*"},
		policies: {vhost: $site, name: "notifications", pattern: "^(versioned_)?notifications\\.",
			"apply-to": "queues", priority: 0, definition: {"max-length": 2000, "message-ttl": 600000}}}'
}

broker_hash() { # PASSWORD: base64(salt, sha256(salt, password)), with a salt of four bytes
	local salt=isth
	{ printf %s $salt && printf '%s%s' $salt "$1" | openssl dgst -sha256 -binary; } | base64
}
