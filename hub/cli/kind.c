#include "cli/kind.h"

#include "base/scope.h"
#include "cli/safe.h"

#include <string.h>

/* Nova: {"net": [{"addr": "10.0.0.3", ...}]} becomes {"net": ["10.0.0.3"]}. */
static json_t *make_networks(const json_t *item)
{
    json_t *addresses = json_object_get(item, "addresses"), *list, *address;
    json_t *networks = json_object();
    const char *net;
    size_t i;

    json_object_foreach(addresses, net, list)
    {
        json_t *addrs = json_array();

        json_array_foreach(list, i, address)
        {
            json_t *addr = json_object_get(address, "addr");

            if (addr)
                json_array_append(addrs, addr);
        }
        json_object_set_new(networks, net, addrs);
    }
    return networks;
}

/* Nova: an object with the id, or "" when booted from a volume. */
static json_t *make_image(const json_t *item)
{
    json_t *image = json_object_get(item, "image");

    if (json_is_object(image))
        return json_incref(json_object_get(image, "id"));
    if (json_is_string(image) && json_string_length(image) == 0)
        return json_string("N/A (booted from volume)");
    return json_incref(image);
}

/* Nova: by name since microversion 2.47, by id before. */
static json_t *make_flavor(const json_t *item)
{
    json_t *flavor = json_object_get(item, "flavor");
    json_t *name = json_object_get(flavor, "original_name");

    return json_incref(name ? name : json_object_get(flavor, "id"));
}

/* Neutron says it with "state", Nova and Cinder with "zoneState". */
static json_t *make_zone_status(const json_t *item)
{
    json_t *zone = json_object_get(item, "zoneState");
    json_t *available = json_object_get(zone, "available");

    if (!available)
        return json_incref(json_object_get(item, "state"));
    return json_string(json_is_true(available) ? "available" : "not available");
}

static json_t *make_router_type(const json_t *item)
{
    json_t *external = json_object_get(item, "router:external");

    if (!external)
        return NULL;
    return json_string(json_is_true(external) ? "External" : "Internal");
}

/* As in the native object, or as made above. */
static void human_networks(struct ist_sb *sb, const json_t *value)
{
    const char *net, *separator = "";
    json_t *list, *one;
    size_t i;

    if (!json_is_object(value)) {
        cli_cell_human(sb, value);
        return;
    }
    json_object_foreach((json_t *) (uintptr_t) value, net, list)
    {
        ist_sb_puts(sb, separator);
        cli_safe(sb, net, strlen(net), "");
        separator = "=";
        json_array_foreach(list, i, one)
        {
            json_t *addr = json_object_get(one, "addr");

            ist_sb_puts(sb, separator);
            cli_cell_human(sb, addr ? addr : one);
            separator = ", ";
        }
        separator = "; ";
    }
}

static void human_up(struct ist_sb *sb, const json_t *value)
{
    if (json_is_boolean(value))
        ist_sb_puts(sb, json_is_true(value) ? "UP" : "DOWN");
    else
        cli_cell_human(sb, value);
}

static void put_text(struct ist_sb *sb, const char *front, const json_t *value)
{
    if (!value || json_is_null(value))
        return;
    ist_sb_puts(sb, front);
    cli_cell_human(sb, value);
}

static void human_attached(struct ist_sb *sb, const json_t *value)
{
    size_t i;
    json_t *one;

    if (!json_is_array(value)) {
        cli_cell_human(sb, value);
        return;
    }
    json_array_foreach(value, i, one)
    {
        ist_sb_puts(sb, i ? "\n" : "");
        put_text(sb, "Attached to ", json_object_get(one, "server_id"));
        put_text(sb, " on ", json_object_get(one, "device"));
    }
}

/* A probed service is an object, a service only heard of a name. */
static void human_services(struct ist_sb *sb, const json_t *value)
{
    size_t i;
    json_t *one;

    if (!json_is_array(value)) {
        cli_cell_human(sb, value);
        return;
    }
    json_array_foreach(value, i, one)
    {
        json_t *detail = json_object_get(one, "detail");
        json_t *latency = json_object_get(one, "latency_ms");

        if (!json_is_object(one)) {
            put_text(sb, i ? ", " : "", one);
            continue;
        }
        put_text(sb, i ? "\n" : "", json_object_get(one, "name"));
        put_text(sb, " ", json_object_get(one, "min_version"));
        put_text(
            sb, json_is_string(json_object_get(one, "min_version")) ? "-" : " ",
            json_object_get(one, "max_version"));
        ist_sb_puts(sb,
                    json_is_true(json_object_get(one, "up")) ? " up" : " down");
        if (json_is_number(latency)) {
            put_text(sb, " ", latency);
            ist_sb_puts(sb, " ms");
        }
        if (json_string_length(detail))
            put_text(sb, ": ", detail);
    }
}

#define PLAIN(title, members)                                                  \
    {                                                                          \
        title, members, 0, NULL, NULL                                          \
    }
#define LONG(title, members)                                                   \
    {                                                                          \
        title, members, CLI_LONG, NULL, NULL                                   \
    }
#define STATUS(title, members)                                                 \
    {                                                                          \
        title, members, CLI_STATUS, NULL, NULL                                 \
    }
#define ID           PLAIN("ID", "id")
#define NAME         PLAIN("Name", "name")
#define SITE         PLAIN("Site", "site")
#define LONG_PROJECT LONG("Project", "project_id|tenant_id")
#define TAGS         LONG("Tags", "tags")
#define END                                                                    \
    {                                                                          \
        NULL, NULL, 0, NULL, NULL                                              \
    }

/* clang-format off */
static const struct cli_column site_columns[] = {
    NAME,
    STATUS("State", "state"),
    PLAIN("Last Seen", "last_seen"),
    PLAIN("Policy Mode", "policy_mode"),
    {"Services", "services", 0, NULL, human_services},
    PLAIN("Agent Version", "agent_version"),
    LONG("UID", "uid"),
    LONG("State Since", "state_since"),
    LONG("Agent Started", "agent_started"),
    LONG("Open Calls", "open_calls"),
    LONG("Clock Offset (ms)", "clock_offset_ms"),
    END,
};

static const struct cli_column server_columns[] = {
    ID, NAME,
    STATUS("Status", "status"),
    {"Networks", "addresses", 0, make_networks, human_networks},
    {"Image", "image", 0, make_image, NULL},
    {"Flavor", "flavor", 0, make_flavor, NULL},
    SITE,
    LONG("Task State", "OS-EXT-STS:task_state"),
    LONG("Power State", "OS-EXT-STS:power_state"),
    LONG("Availability Zone", "OS-EXT-AZ:availability_zone"),
    LONG("Host", "OS-EXT-SRV-ATTR:host"),
    LONG("Properties", "metadata"),
    LONG("Project ID", "tenant_id|project_id"),
    LONG("Created At", "created"),
    END,
};

static const struct cli_column flavor_columns[] = {
    ID, NAME,
    PLAIN("RAM", "ram"),
    PLAIN("Disk", "disk"),
    PLAIN("Ephemeral", "OS-FLV-EXT-DATA:ephemeral"),
    PLAIN("VCPUs", "vcpus"),
    PLAIN("Is Public", "os-flavor-access:is_public"),
    SITE,
    LONG("Swap", "swap"),
    LONG("RXTX Factor", "rxtx_factor"),
    LONG("Properties", "extra_specs"),
    END,
};

static const struct cli_column keypair_columns[] = {
    NAME,
    PLAIN("Fingerprint", "fingerprint"),
    PLAIN("Type", "type"),
    SITE,
    END,
};

static const struct cli_column hypervisor_columns[] = {
    ID,
    PLAIN("Hypervisor Hostname", "hypervisor_hostname"),
    PLAIN("Hypervisor Type", "hypervisor_type"),
    PLAIN("Host IP", "host_ip"),
    STATUS("State", "state"),
    SITE,
    LONG("vCPUs Used", "vcpus_used"),
    LONG("vCPUs", "vcpus"),
    LONG("Memory MB Used", "memory_mb_used"),
    LONG("Memory MB", "memory_mb"),
    END,
};

static const struct cli_column network_columns[] = {
    ID, NAME,
    STATUS("Status", "status"),
    PLAIN("Subnets", "subnets"),
    SITE,
    LONG_PROJECT,
    {"State", "admin_state_up", CLI_LONG, NULL, human_up},
    LONG("Shared", "shared"),
    LONG("Network Type", "provider:network_type"),
    {"Router Type", "router:external", CLI_LONG, make_router_type, NULL},
    LONG("Availability Zones", "availability_zones"),
    TAGS,
    END,
};

static const struct cli_column subnet_columns[] = {
    ID, NAME,
    PLAIN("Network", "network_id"),
    PLAIN("Subnet", "cidr"),
    SITE,
    LONG_PROJECT,
    LONG("DHCP", "enable_dhcp"),
    LONG("Name Servers", "dns_nameservers"),
    LONG("Allocation Pools", "allocation_pools"),
    LONG("Host Routes", "host_routes"),
    LONG("IP Version", "ip_version"),
    LONG("Gateway", "gateway_ip"),
    LONG("Service Types", "service_types"),
    TAGS,
    END,
};

static const struct cli_column port_columns[] = {
    ID, NAME,
    PLAIN("MAC Address", "mac_address"),
    PLAIN("Fixed IP Addresses", "fixed_ips"),
    STATUS("Status", "status"),
    SITE,
    LONG("Security Groups", "security_groups"),
    LONG("Device Owner", "device_owner"),
    TAGS,
    END,
};

static const struct cli_column router_columns[] = {
    ID, NAME,
    STATUS("Status", "status"),
    {"State", "admin_state_up", 0, NULL, human_up},
    PLAIN("Project", "project_id|tenant_id"),
    SITE,
    LONG("Distributed", "distributed"),
    LONG("HA", "ha"),
    LONG("Routes", "routes"),
    LONG("External gateway info", "external_gateway_info"),
    LONG("Availability zones", "availability_zones"),
    TAGS,
    END,
};

static const struct cli_column group_columns[] = {
    ID, NAME,
    PLAIN("Description", "description"),
    PLAIN("Project", "project_id|tenant_id"),
    SITE,
    TAGS,
    END,
};

static const struct cli_column floating_columns[] = {
    ID,
    PLAIN("Floating IP Address", "floating_ip_address"),
    PLAIN("Fixed IP Address", "fixed_ip_address"),
    PLAIN("Port", "port_id"),
    PLAIN("Floating Network", "floating_network_id"),
    PLAIN("Project", "project_id|tenant_id"),
    SITE,
    LONG("Router", "router_id"),
    {"Status", "status", CLI_LONG | CLI_STATUS, NULL, NULL},
    LONG("Description", "description"),
    TAGS,
    END,
};

static const struct cli_column image_columns[] = {
    ID, NAME,
    STATUS("Status", "status"),
    SITE,
    LONG("Disk Format", "disk_format"),
    LONG("Container Format", "container_format"),
    LONG("Size", "size"),
    LONG("Checksum", "checksum"),
    LONG("Visibility", "visibility"),
    LONG("Protected", "protected"),
    LONG("Project", "owner"),
    TAGS,
    END,
};

static const struct cli_column volume_columns[] = {
    ID, NAME,
    STATUS("Status", "status"),
    PLAIN("Size", "size"),
    {"Attached to", "attachments", 0, NULL, human_attached},
    SITE,
    LONG("Type", "volume_type"),
    LONG("Bootable", "bootable"),
    LONG("Properties", "metadata"),
    END,
};

static const struct cli_column snapshot_columns[] = {
    ID, NAME,
    PLAIN("Description", "description"),
    STATUS("Status", "status"),
    PLAIN("Size", "size"),
    SITE,
    LONG("Created At", "created_at"),
    LONG("Volume", "volume_id"),
    LONG("Properties", "metadata"),
    END,
};

static const struct cli_column project_columns[] = {
    ID, NAME, SITE,
    LONG("Domain ID", "domain_id"),
    LONG("Description", "description"),
    LONG("Enabled", "enabled"),
    END,
};

static const struct cli_column zone_columns[] = {
    PLAIN("Zone Name", "zoneName|name"),
    {"Zone Status", "zoneState|state", CLI_STATUS, make_zone_status, NULL},
    PLAIN("Zone Resource", "resource|service"),
    SITE,
    END,
};

static const struct cli_column quota_columns[] = {
    PLAIN("Project", "id"),
    PLAIN("Instances", "instances"),
    PLAIN("Cores", "cores"),
    PLAIN("RAM", "ram"),
    PLAIN("Key Pairs", "key_pairs"),
    PLAIN("Server Groups", "server_groups"),
    SITE,
    LONG("Server Group Members", "server_group_members"),
    LONG("Metadata Items", "metadata_items"),
    END,
};

static const struct cli_column network_quota_columns[] = {
    PLAIN("Networks", "network"),
    PLAIN("Subnets", "subnet"),
    PLAIN("Ports", "port"),
    PLAIN("Routers", "router"),
    PLAIN("Floating IPs", "floatingip"),
    PLAIN("Security Groups", "security_group"),
    SITE,
    LONG("Security Group Rules", "security_group_rule"),
    LONG("Subnet Pools", "subnetpool"),
    LONG("RBAC Policies", "rbac_policy"),
    END,
};

static const struct cli_column volume_quota_columns[] = {
    PLAIN("Project", "id"),
    PLAIN("Volumes", "volumes"),
    PLAIN("Gigabytes", "gigabytes"),
    PLAIN("Snapshots", "snapshots"),
    PLAIN("Backups", "backups"),
    SITE,
    LONG("Backup Gigabytes", "backup_gigabytes"),
    LONG("Per Volume Gigabytes", "per_volume_gigabytes"),
    LONG("Groups", "groups"),
    END,
};

static const struct cli_column limit_columns[] = {
    PLAIN("Instances Used", "totalInstancesUsed"),
    PLAIN("Instances", "maxTotalInstances"),
    PLAIN("Cores Used", "totalCoresUsed"),
    PLAIN("Cores", "maxTotalCores"),
    PLAIN("RAM Used", "totalRAMUsed"),
    PLAIN("RAM", "maxTotalRAMSize"),
    SITE,
    LONG("Server Groups Used", "totalServerGroupsUsed"),
    LONG("Server Groups", "maxServerGroups"),
    LONG("Key Pairs", "maxTotalKeypairs"),
    END,
};

static const struct cli_column server_group_columns[] = {
    ID, NAME,
    PLAIN("Policy", "policy"),
    SITE,
    LONG("Members", "members"),
    LONG("Project", "project_id"),
    LONG("User", "user_id"),
    END,
};

static const struct cli_column compute_service_columns[] = {
    ID,
    PLAIN("Binary", "binary"),
    PLAIN("Host", "host"),
    PLAIN("Zone", "zone"),
    STATUS("Status", "status"),
    STATUS("State", "state"),
    PLAIN("Updated At", "updated_at"),
    SITE,
    LONG("Disabled Reason", "disabled_reason"),
    END,
};

static const struct cli_column volume_type_columns[] = {
    ID, NAME,
    PLAIN("Is Public", "is_public"),
    SITE,
    LONG("Description", "description"),
    LONG("Properties", "extra_specs"),
    END,
};

const struct cli_kind cli_kinds[] = {
    {"site", NULL, "sites", "sites", site_columns},
    {"server", NULL, "servers", "servers", server_columns},
    {"flavor", NULL, "flavors", "flavors", flavor_columns},
    {"keypair", NULL, "keypairs", "key pairs", keypair_columns},
    {"server-group", NULL, "server-groups", "server groups",
     server_group_columns},
    {"hypervisor", NULL, "hypervisors", "hypervisors", hypervisor_columns},
    {"compute-service", NULL, "compute-services", "compute services",
     compute_service_columns},
    {"network", NULL, "networks", "networks", network_columns},
    {"subnet", NULL, "subnets", "subnets", subnet_columns},
    {"port", NULL, "ports", "ports", port_columns},
    {"router", NULL, "routers", "routers", router_columns},
    {"security-group", NULL, "security-groups", "security groups",
     group_columns},
    {"floating-ip", NULL, "floating-ips", "floating IPs", floating_columns},
    {"image", NULL, "images", "images", image_columns},
    {"volume", NULL, "volumes", "volumes", volume_columns},
    {"snapshot", "volume-snapshot", "snapshots", "snapshots",
     snapshot_columns},
    {"project", NULL, "projects", "projects", project_columns},
    {"availability-zone", NULL, "availability-zones", "availability zones",
     zone_columns},
    {"volume-type", NULL, "volume-types", "volume types",
     volume_type_columns},
    {"quota", "compute-quota", "quotas", "compute quotas", quota_columns},
    {"network-quota", NULL, "network-quotas", "network quotas",
     network_quota_columns},
    {"volume-quota", NULL, "volume-quotas", "volume quotas",
     volume_quota_columns},
    {"limit", "limits", "limits", "compute limits", limit_columns},
    {NULL, NULL, NULL, NULL, NULL},
};
/* clang-format on */

const struct cli_kind *cli_kind_find(const char *noun)
{
    for (const struct cli_kind *kind = cli_kinds; kind->noun; kind++) {
        if (strcmp(kind->noun, noun) == 0 ||
            (kind->alias && strcmp(kind->alias, noun) == 0))
            return kind;
    }
    return NULL;
}

int cli_kind_is_site(const struct cli_kind *kind)
{
    return kind == &cli_kinds[0];
}

/* "a.b" in an object; 'len' ends it. Borrowed, NULL when absent. */
static json_t *member(const json_t *item, const char *path, size_t len)
{
    json_t *found = (json_t *) (uintptr_t) item;

    while (found && len) {
        size_t n = 0;

        while (n < len && path[n] != '.')
            n++;
        found = json_object_getn(found, path, n);
        path += n < len ? n + 1 : n;
        len -= n < len ? n + 1 : n;
    }
    return found;
}

json_t *cli_kind_value(const struct cli_column *column, const json_t *item)
{
    const char *path = column->members;
    json_t *value = NULL;

    if (column->make) {
        value = column->make(item);
        return value ? value : json_null();
    }
    while (path && !value) {
        const char *bar = strchrnul(path, '|');

        value = member(item, path, (size_t) (bar - path));
        path = *bar ? bar + 1 : NULL;
    }
    return value ? json_incref(value) : json_null();
}
