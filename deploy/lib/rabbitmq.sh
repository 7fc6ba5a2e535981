# shellcheck shell=bash
# rabbitmq.sh: a private RabbitMQ node without systemd and without /etc: own name, ports, cookie and epmd.
#
# The caller writes DIR/rabbitmq.conf and says NODE, PORT (AMQP), DIST (Erlang distribution), EPMD. /usr/sbin/rabbitmqctl
# is of no use here: it changes to the user rabbitmq and reads /etc.

# rabbit_env DIR NODE PORT DIST EPMD PLUGINS: everything the node and its tools need, as a file to source
rabbit_env() {
	local dir=$1
	mkdir -p "$dir/home"
	[ -e "$dir/home/.erlang.cookie" ] ||
		(umask 377 && openssl rand -hex 20 >"$dir/home/.erlang.cookie")
	echo "[$6]." >"$dir/enabled_plugins"
	: >"$dir/empty.conf"
	cat >"$dir/env" <<-END
		export HOME='$dir/home' LC_ALL=C.UTF-8 PATH='$(rabbit_sbin)':/usr/sbin:/usr/bin:/sbin:/bin
		export RABBITMQ_NODENAME=$2@localhost RABBITMQ_NODE_PORT=$3 RABBITMQ_DIST_PORT=$4
		export ERL_EPMD_PORT=$5 ERL_EPMD_ADDRESS=127.0.0.1
		export RABBITMQ_MNESIA_BASE='$dir/mnesia' RABBITMQ_LOG_BASE='$dir/log' RABBITMQ_PID_FILE='$dir/rabbitmq.pid'
		export RABBITMQ_CONFIG_FILE='$dir/rabbitmq' RABBITMQ_ADVANCED_CONFIG_FILE='$dir/advanced.config'
		export RABBITMQ_ENABLED_PLUGINS_FILE='$dir/enabled_plugins' RABBITMQ_CONF_ENV_FILE='$dir/empty.conf'
		# no busy waiting: an idle broker takes no CPU
		export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none'
	END
	printf '#!/bin/sh\n. "%s/env"\nexec rabbitmqctl "$@"\n' "$dir" >"$dir/rabbitmqctl"
	chmod 755 "$dir/rabbitmqctl"
}

rabbit_sbin() { # the newest installed server's own scripts
	local found=(/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin)
	((${#found[@]})) || die "rabbitmq-server is not installed"
	echo "${found[-1]}"
}

# epmd runs as one of ours: started by the node itself it would outlive the node, and hold its port
rabbit_start() { # DIR
	local dir=$1
	# shellcheck disable=SC1091
	(. "$dir/env" && ensure "$dir" epmd epmd -address 127.0.0.1 -port "$ERL_EPMD_PORT") || return 1
	wait_until 20 "epmd of $dir" rabbit_epmd "$dir" || return 1
	# shellcheck disable=SC1091
	(. "$dir/env" && ensure "$dir" rabbitmq rabbitmq-server)
}

rabbit_epmd() ( # DIR: does epmd answer
	# shellcheck disable=SC1091
	. "$1/env" && epmd -names
)

# The listener is the last thing to come up, after the definitions: no rabbitmqctl, which costs seconds of Erlang start.
rabbit_wait() { # DIR PORT
	wait_until 180 "RabbitMQ, see $1/log" listening "$2"
}

rabbit_stop() { # DIR [SECONDS]
	stop_daemons "${2:-15}" "$1" rabbitmq
	stop_daemons 2 "$1" epmd
}
