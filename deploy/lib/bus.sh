# shellcheck shell=bash
# bus.sh: the Isthmus bus: a private RabbitMQ that speaks AMQPS only and knows its users by their certificates.

BUS=$BUILD/demo/bus
BUS_PORT=5671 BUS_DIST=25675 BUS_EPMD=4375

bus_start() { # CREDENTIALS: the folder with ca.pem, broker.pem, broker.key, definitions.json
	mkdir -p "$BUS"
	if ! alive "$BUS" rabbitmq; then
		rabbit_env "$BUS" isthbus 5675 "$BUS_DIST" "$BUS_EPMD" rabbitmq_auth_mechanism_ssl
		bus_conf "$1" >"$BUS/rabbitmq.conf"
		port_free "$BUS_PORT" "the bus"
	fi
	rabbit_start "$BUS"
	rabbit_wait "$BUS" "$BUS_PORT"
}

# Socket buffers: with the default each connection reserves 3.9 MB. max_message_size is 1 MiB and room for the envelope.
bus_conf() { # CREDENTIALS
	cat <<-END
		listeners.tcp = none
		listeners.ssl.1 = 127.0.0.1:$BUS_PORT
		ssl_options.cacertfile = $1/ca.pem
		ssl_options.certfile = $1/broker.pem
		ssl_options.keyfile = $1/broker.key
		ssl_options.verify = verify_peer
		ssl_options.fail_if_no_peer_cert = true
		ssl_options.versions.1 = tlsv1.3
		ssl_options.versions.2 = tlsv1.2
		ssl_cert_login_from = common_name
		auth_mechanisms.1 = EXTERNAL
		load_definitions = $1/definitions.json
		heartbeat = 6
		channel_max = 64
		max_message_size = 1114112
		vm_memory_high_watermark.absolute = 1GB
		disk_free_limit.absolute = 500MB
		tcp_listen_options.backlog = 1024
		tcp_listen_options.nodelay = true
		tcp_listen_options.sndbuf = 131072
		tcp_listen_options.recbuf = 131072
		tcp_listen_options.buffer = 131072
		log.console = false
	END
}

bus_stop() { [ ! -e "$BUS/env" ] || rabbit_stop "$BUS"; }
