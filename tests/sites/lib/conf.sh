# shellcheck shell=bash
# conf.sh: a site's configuration, from the templates in conf/.

# render TEMPLATE [KEY=VALUE...]: fills in @KEY@; a line @AUTH@ becomes conf/auth.conf, how a service logs in. (Keystone's
# auth_section would say it once, but the conductor and the scheduler do not load the section it points to.)
render() {
	local file=$1 pair script=""
	shift
	for pair in "$@" "SITE=$S" "DIR=$D" "SHIMS=$SHIMS" "RABBIT=$(rabbit_url)" "DB=$(db_url)" "DBARGS=$(db_args)" \
		"KEYSTONE=$(port keystone)" "GLANCE=$(port glance)" "NEUTRON=$(port neutron)" "MEMCACHED=$(port memcached)"; do
		# shellcheck disable=SC2001
		script+="s|@${pair%%=*}@|$(sed 's/[&|\\]/\\&/g' <<<"${pair#*=}")|g;"
	done
	sed -e "/^@AUTH@\$/{r $HERE/conf/auth.conf" -e 'd}' "$HERE/conf/$file" | sed "$script"
}

rabbit_url() { echo "rabbit://$S:$(secret rabbit)@127.0.0.1:$RABBIT_PORT/$S"; }
listener_url() { echo "rabbit://$S-listener:$(secret listener)@127.0.0.1:$RABBIT_PORT/$S"; }
db_url() { echo "mysql+pymysql://$S:$(secret db)@localhost/${S}_"; }
db_args() { echo "?unix_socket=$DB_SOCKET&charset=utf8"; }
schema_url() { echo "$(db_url)$1$(db_args)"; }

site_conf() {
	mkdir -p "$D"/{keystone,placement,nova,glance,neutron,cinder,log,lock,none,state/nova,state/neutron} \
		"$D"/state/cinder/{volumes,conversion,coordination} "$D"/state/glance/{images,staging,tasks}
	local service
	for service in keystone placement nova glance neutron cinder; do service_conf $service; done
	for service in keystone placement nova glance cinder; do uwsgi_conf $service; done
	cp "$DATA/usr/share/nova-common/api-paste.ini" "$D/nova/"
	cp "$DATA/usr/share/neutron-common/api-paste.ini" "$D/neutron/"
	cp "$DATA/usr/share/glance-common/glance-api-paste.ini" "$D/glance/"
	cp "$DATA/usr/share/cinder-common/api-paste.ini" "$DATA/etc/cinder/resource_filters.json" "$D/cinder/"
}

service_conf() { # SERVICE
	local template file=$D/$1/$1.conf templates=("$1.conf" common.conf)
	[ "$1" != keystone ] || templates=("$1.conf")
	[ "$1" != glance ] || file=$D/glance/glance-api.conf
	(umask 077 && for template in "${templates[@]}"; do
		render "$template" "SERVICE=$1" "SERVICEPW=$(secret service)" "SCHEMA=$1"
	done >"$file")
}

uwsgi_conf() { # SERVICE: nova's API is patched by eventlet and bears one thread only
	local threads=6
	[ "$1" != nova ] || threads=1
	render uwsgi.ini "SERVICE=$1" "PORT=$(port "$1")" "THREADS=$threads" >"$D/$1/uwsgi.ini"
}
