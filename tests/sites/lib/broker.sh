# shellcheck shell=bash
# broker.sh: one RabbitMQ for all sites, a vhost and a user for each, defined at boot.

broker_start() {
	local new=$RABBIT/definitions.new
	mkdir -p "$RABBIT"
	(umask 077 && broker_definitions >"$new")
	if ! alive "$RABBIT" rabbitmq; then
		rabbit_env "$RABBIT" isthsites "$RABBIT_PORT" "$RABBIT_DIST" "$RABBIT_EPMD" ""
		broker_conf >"$RABBIT/rabbitmq.conf"
		port_free "$RABBIT_PORT" "RabbitMQ of the sites"
	elif ! cmp -s "$new" "$RABBIT/definitions.json"; then
		"$RABBIT/rabbitmqctl" import_definitions "$new" >>"$RABBIT/import.log" 2>&1 ||
			die "RabbitMQ of the sites does not take its definitions, see $RABBIT/import.log"
	fi
	mv "$new" "$RABBIT/definitions.json"
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
		jq -s '{users: map(.users[]), vhosts: map(.vhosts), permissions: map(.permissions[]), policies: map(.policies)}'
}

# oslo.messaging declares notification queues that nobody reads: the policy caps them, or they would grow for ever.
#
# The listener is for an agent that hears the notifications. It makes queues of its own (configure), binds them (write on
# the queue, read on the exchange) and consumes from them (read). It can neither publish to the exchanges nor make or
# change one, nor read a queue of the services: an exchange that is not there yet is waited for.
broker_site() {
	jq -n --arg site "$S" --arg hash "$(broker_hash "$(secret rabbit)")" --arg listen "$(broker_hash "$(secret listener)")" '{
		users: [{name: $site, password_hash: $hash, hashing_algorithm: "rabbit_password_hashing_sha256", tags: []},
			{name: "\($site)-listener", password_hash: $listen,
				hashing_algorithm: "rabbit_password_hashing_sha256", tags: []}],
		vhosts: {name: $site},
		permissions: [{user: $site, vhost: $site, configure: ".*", write: ".*", read: ".*"},
			{user: "\($site)-listener", vhost: $site, configure: "^isthmus-agent-.*", write: "^isthmus-agent-.*",
				read: "^(isthmus-agent-.*|nova|neutron|openstack|glance|keystone)$"}],
		policies: {vhost: $site, name: "notifications", pattern: "^(versioned_)?notifications\\.",
			"apply-to": "queues", priority: 0, definition: {"max-length": 2000, "message-ttl": 600000}}}'
}

broker_hash() { # PASSWORD: base64(salt, sha256(salt, password)), with a salt of four bytes
	local salt=isth
	{ printf %s $salt && printf '%s%s' $salt "$1" | openssl dgst -sha256 -binary; } | base64
}
