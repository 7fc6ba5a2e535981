# shellcheck shell=bash
# install.sh: the libraries of the services, and the few data files that only their daemon packages carry.

SITE_PACKAGES=(python3-keystone python3-placement python3-glance python3-nova python3-neutron python3-cinder
	python3-openstackclient python3-pymysql python3-memcache python3-pymemcache
	mariadb-server rabbitmq-server memcached uwsgi-core uwsgi-plugin-python3 jq curl openssl procps iproute2)

DATA=$CACHE/packages # unpacked, never installed: their postinst scripts would set up daemons and databases

sites_install() { # [PACKAGE...]: what the caller needs besides
	packages_ensure "$STATE/log/install.log" "${SITE_PACKAGES[@]}" "$@"
	[ -e "$DATA/usr/share/nova-common/api-paste.ini" ] && return
	mkdir -p "$DATA/deb" "$STATE/log"
	(cd "$DATA/deb" && apt-get -q download {nova,neutron,cinder,glance}-common) >>"$STATE/log/install.log" 2>&1 ||
		die "cannot download the -common packages, see $STATE/log/install.log"
	local deb
	for deb in "$DATA"/deb/*.deb; do dpkg -x "$deb" "$DATA"; done
}
