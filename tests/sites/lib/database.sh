# shellcheck shell=bash
# database.sh: one MariaDB for all sites, eight schemas for each, copied from a template that is migrated once.

sql() { mariadb --no-defaults -S "$DB_SOCKET" -uroot "$@"; }

db_start() {
	((${#DB_SOCKET} < 100)) || die "the path $DB_SOCKET is too long for a socket"
	if [ ! -e "$STATE/mariadb/complete" ]; then
		rm -rf "$STATE/mariadb" && mkdir -p "$STATE/mariadb" "$STATE/log"
		mariadb-install-db --no-defaults --user=root --datadir="$STATE/mariadb" --skip-test-db \
			--auth-root-authentication-method=socket >"$STATE/log/mariadb-install.log" 2>&1
		: >"$STATE/mariadb/complete"
	fi
	# Nothing has to survive a power cut: nosync and friends spare every fsync, which is most of a migration's time.
	ensure "$STATE" mariadb mariadbd --no-defaults --user=root --datadir="$STATE/mariadb" --socket="$DB_SOCKET" \
		--pid-file="$STATE/mariadb.pid" --skip-networking --max-connections=800 --performance-schema=OFF \
		--character-set-server=utf8mb3 --collation-server=utf8mb3_general_ci --skip-log-bin --skip-sync-frm \
		--innodb-buffer-pool-size=256M --innodb-log-file-size=64M --innodb-flush-log-at-trx-commit=0 \
		--skip-innodb-doublewrite --innodb-flush-method=nosync
	wait_until 120 "MariaDB, see $STATE/log/mariadb.log" sql -e 'SELECT 1'
}

db_create() { # empty schemas and a user for the site in use
	local schema
	{
		for schema in "${SCHEMAS[@]}"; do
			echo "DROP DATABASE IF EXISTS ${S}_$schema; CREATE DATABASE ${S}_$schema;"
		done
		echo "CREATE USER IF NOT EXISTS '$S'@'localhost'; ALTER USER '$S'@'localhost' IDENTIFIED BY '$(secret db)';"
		echo "GRANT ALL ON \`${S}\\_%\`.* TO '$S'@'localhost';"
	} | sql
}

# The migrations of one set of package versions always end in the same schemas.
template_dir() {
	local versions
	versions=$(dpkg-query -W python3-{keystone,placement,glance,nova,neutron,cinder})
	echo "$CACHE/schemas-$(cksum <<<"$versions" | cut -d' ' -f1)"
}

template_ensure() {
	local dir
	dir=$(template_dir)
	[ -e "$dir/complete" ] && return
	say sites "migrating the databases once (later runs take them from $CACHE)"
	(
		use_site template && site_conf && db_create && template_migrate
		template_dump "$dir" && say sites "schemas ready"
	)
}

template_migrate() { # three lanes of about the same length
	local lanes=()
	lane_neutron >"$D/log/migrate-neutron.log" 2>&1 & lanes+=($!)
	lane_nova >"$D/log/migrate-nova.log" 2>&1 & lanes+=($!)
	lane_rest >"$D/log/migrate-rest.log" 2>&1 & lanes+=($!)
	wait_all "${lanes[@]}" || die "a migration failed, see $D/log/migrate-*.log"
}

lane_neutron() { launch neutron-db-manage --config-file "$D/neutron/neutron.conf" upgrade heads; }

lane_nova() { # cell0 has the schema of any cell: copied, not migrated
	launch nova-manage --config-file "$D/nova/nova.conf" api_db sync &&
		launch nova-manage --config-file "$D/nova/nova.conf" db sync --local_cell
}

lane_rest() {
	launch cinder-manage --config-file "$D/cinder/cinder.conf" db sync &&
		launch glance-manage --config-file "$D/glance/glance-api.conf" db_sync &&
		keystone-manage --config-file "$D/keystone/keystone.conf" db_sync &&
		OS_PLACEMENT_CONFIG_DIR=$D/placement placement-manage --config-file "$D/placement/placement.conf" db sync
}

template_dump() { # DIR
	local schema
	mkdir -p "$1"
	for schema in "${SCHEMAS[@]}"; do
		mariadb-dump --no-defaults -S "$DB_SOCKET" -uroot --skip-comments --no-tablespaces \
			"template_${schema/nova_cell0/nova}" >"$1/$schema.sql"
	done
	for schema in "${SCHEMAS[@]}"; do sql -e "DROP DATABASE template_$schema"; done
	: >"$1/complete"
}

site_schemas() { # the site in use gets its schemas from the template
	done_before schemas && return
	local dir schema loads=()
	dir=$(template_dir)
	db_create
	for schema in "${SCHEMAS[@]}"; do
		{
			echo "SET FOREIGN_KEY_CHECKS=0; SET UNIQUE_CHECKS=0; SET AUTOCOMMIT=0;"
			cat "$dir/$schema.sql"
			echo "COMMIT;"
		} | sql "${S}_$schema" & loads+=($!)
	done
	wait_all "${loads[@]}" || die "$S: loading the schemas failed"
	site_rows && mark_done schemas
}

# What migrations and `nova-manage cell_v2` would have made for this very site. Cinder's migration gives the volume type
# __DEFAULT__ a random id; a copied schema would repeat it at every site, which no two real sites do.
site_rows() {
	sql <<-END
		SET FOREIGN_KEY_CHECKS=0;
		UPDATE ${S}_cinder.volume_types SET id=UUID() WHERE name='__DEFAULT__';
		USE ${S}_nova_api;
		DELETE FROM cell_mappings;
		INSERT INTO cell_mappings (created_at, uuid, name, transport_url, database_connection, disabled) VALUES
			(UTC_TIMESTAMP(), '00000000-0000-0000-0000-000000000000', 'cell0', 'none:///', '$(schema_url nova_cell0)', 0),
			(UTC_TIMESTAMP(), UUID(), 'cell1', '$(rabbit_url)', '$(schema_url nova)', 0);
	END
}

# what `nova-manage cell_v2 discover_hosts` does, without its four seconds of Python
site_map_host() {
	sql "${S}_nova_api" <<-END
		INSERT INTO host_mappings (created_at, cell_id, host)
			SELECT UTC_TIMESTAMP(), id, '$S-compute' FROM cell_mappings WHERE name='cell1'
			AND NOT EXISTS (SELECT 1 FROM host_mappings WHERE host='$S-compute');
		UPDATE ${S}_nova.compute_nodes SET mapped=1;
	END
}
