# shellcheck shell=bash
# horizon.sh: Debian's real Horizon, without Apache and without /etc, against the hub: its projects, users and regions.
#
# Sourced after base.sh, daemon.sh and packages.sh by one that says DEMO and HUB_PORT, when the hub is up. What the
# dashboard's package would set up in /etc and /var by its postinst lies in DEMO/horizon instead.

HORIZON_PORT=8080
HORIZON_PACKAGES=(python3-django-horizon uwsgi-core uwsgi-plugin-python3 curl openssl procps iproute2)
HORIZON_DATA=$CACHE/horizon # policies and themes, which only the package openstack-dashboard carries: never installed

horizon_start() {
	local dir=$DEMO/horizon
	if ! alive "$DEMO" horizon; then
		alive "$DEMO" hub || die "the hub is not up"
		horizon_install
		port_free "$HORIZON_PORT" "Horizon"
		horizon_settings "$dir"
		horizon_static "$dir"
		horizon_spawn "$dir"
	fi
	wait_until 180 "Horizon, see $DEMO/log/horizon.log" horizon_answers || die "Horizon does not answer"
	say horizon "up: http://127.0.0.1:$HORIZON_PORT"
	cat <<-END

		  http://127.0.0.1:$HORIZON_PORT
		  Domain     hkg
		  User Name  shop-dev
		  Password   $(<"$BUILD/sites/hkg/secret/user-shop-dev")

	END
}

horizon_stop() { stop_daemons 5 "$DEMO" horizon; }

horizon_answers() { curl -sf --max-time 30 -o /dev/null "http://127.0.0.1:$HORIZON_PORT/auth/login/"; }

horizon_install() {
	local log=$DEMO/log/horizon-install.log deb
	packages_ensure "$log" "${HORIZON_PACKAGES[@]}"
	[ ! -e "$HORIZON_DATA/etc/openstack-dashboard/policy" ] || return 0
	mkdir -p "$HORIZON_DATA/deb"
	(cd "$HORIZON_DATA/deb" && apt-get -q download openstack-dashboard) >>"$log" 2>&1 ||
		die "cannot download openstack-dashboard, see $log"
	for deb in "$HORIZON_DATA"/deb/*.deb; do dpkg -x "$deb" "$HORIZON_DATA"; done
}

# Horizon imports local.local_settings from wherever Python finds it first.
horizon_settings() { # DIR
	mkdir -p "$1/local" "$1/static" "$1/sessions"
	: >"$1/local/__init__.py"
	[ -s "$1/key" ] || (umask 077 && openssl rand -hex 32 >"$1/key")
	cp "$DEMO/hub/http/ca.pem" "$1/ca.pem"
	cat >"$1/local/local_settings.py" <<-END
		DEBUG = False
		ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
		WEBROOT = "/"
		LOCAL_PATH = "$1/local"
		STATIC_ROOT = "$1/static"
		COMPRESS_OFFLINE = True
		POLICY_FILES_PATH = "$HORIZON_DATA/etc/openstack-dashboard/policy"
		AVAILABLE_THEMES = [("default", "Default", "$HORIZON_DATA/usr/share/openstack-dashboard/themes/default")]
		with open("$1/key", encoding="ascii") as file:
		    SECRET_KEY = file.read()
		SESSION_ENGINE = "django.contrib.sessions.backends.cache"
		CACHES = {"default": {
		    "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
		    "LOCATION": "$1/sessions",
		}}

		OPENSTACK_KEYSTONE_URL = "https://localhost:$HUB_PORT/identity/v3"
		OPENSTACK_SSL_CACERT = "$1/ca.pem"
		OPENSTACK_KEYSTONE_MULTIDOMAIN_SUPPORT = True
		DEFAULT_SERVICE_REGIONS = {"*": "global"}
		SITE_BRANDING = "Isthmus"
		TIME_ZONE = "UTC"

		LOGGING = {
		    "version": 1,
		    "disable_existing_loggers": False,
		    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
		    "handlers": {"log": {"class": "logging.StreamHandler", "formatter": "line"}},
		    "root": {"handlers": ["log"], "level": "${HORIZON_LOG:-WARNING}"},
		}
	END
}

# Scripts and styles are put together once for each version of the package and of the settings.
horizon_static() { # DIR
	local stamp
	stamp=$(dpkg-query -W python3-django-horizon && cksum <"$1/local/local_settings.py")
	[ "$stamp" != "$(cat "$1/static.stamp" 2>/dev/null)" ] || return 0
	say horizon "putting its scripts and styles together, about 20 seconds"
	{
		horizon_manage "$1" collectstatic --noinput --clear
		horizon_manage "$1" compress --force
	} >>"$DEMO/log/horizon-static.log" 2>&1 || die "Horizon's static files failed, see $DEMO/log/horizon-static.log"
	echo "$stamp" >"$1/static.stamp"
}

horizon_manage() { # DIR COMMAND...
	local dir=$1
	shift
	PYTHONPATH=$dir PYTHONDONTWRITEBYTECODE=1 DJANGO_SETTINGS_MODULE=openstack_dashboard.settings \
		/usr/bin/python3 -W ignore -m django "$@"
}

# The environment is empty: requests would prefer its CURL_CA_BUNDLE to the CA that Horizon names for Glance.
horizon_spawn() { # DIR
	local user environment options
	user=$(horizon_user "$1")
	chown -R "$user" "$1/sessions" "$1/key"
	chmod 700 "$1/sessions"
	environment=(PATH="$PATH" LC_ALL="$LC_ALL" PYTHONPATH="$1" PYTHONDONTWRITEBYTECODE=1
		DJANGO_SETTINGS_MODULE=openstack_dashboard.settings)
	options=(--plugins python3 --http-socket "127.0.0.1:$HORIZON_PORT" --uid "$user" --gid "$(id -g "$user")"
		--chdir "$1" --module "django.core.wsgi:get_wsgi_application()" --static-map "/static=$1/static"
		--static-expires "/* 3600" --master --processes 2 --threads 4 --lazy-apps --need-app --harakiri 600
		--die-on-term --buffer-size 65535 --add-header "Connection: close" --disable-logging)
	spawn "$DEMO" horizon env -i "${environment[@]}" uwsgi "${options[@]}"
}

horizon_user() { # DIR: a user without rights; in a closed home, only the owner can read
	if setpriv --reuid=www-data --regid=www-data --clear-groups test -r "$1/local/local_settings.py"; then
		echo www-data
	else
		stat -c %U "$REPO"
	fi
}
