#include "events/guard.h"

#include "base/parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

/* The registries of IANA for special purposes (RFC 6890 and later), multicast,
 * and what carries an IPv4 address within an IPv6 one. */
static const char *const reserved[] = {
    "0.0.0.0/8",      "10.0.0.0/8",     "100.64.0.0/10", "127.0.0.0/8",
    "169.254.0.0/16", "172.16.0.0/12",  "192.0.0.0/24",  "192.0.2.0/24",
    "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
    "203.0.113.0/24", "224.0.0.0/4",    "240.0.0.0/4",   "64:ff9b::/96",
    "64:ff9b:1::/48", "100::/64",       "2001::/23",     "2001:db8::/32",
    "2002::/16",      "3fff::/20",      "5f00::/16",     "fc00::/7",
    "fe80::/10",      "fec0::/10",      "ff00::/8",
};

/* What is not IPv4 is public only in here. */
static const char global[] = "2000::/3", mapped[] = "::ffff:0:0/96";

static bool read_address(const char *text, uint8_t ret[16])
{
    static const uint8_t front[12] = {[10] = 0xff, [11] = 0xff};

    if (inet_pton(AF_INET6, text, ret) == 1)
        return true;
    memcpy(ret, front, sizeof(front));
    return inet_pton(AF_INET, text, ret + sizeof(front)) == 1;
}

static bool read_network(const char *text, size_t len,
                         struct events_network *ret)
{
    char address[INET6_ADDRSTRLEN + 8], *slash;
    uint64_t bits;
    unsigned most;

    if (len >= sizeof(address))
        return false;
    memcpy(address, text, len);
    address[len] = '\0';
    slash = strchr(address, '/');
    most = strchr(address, ':') ? 128 : 32;
    if (!slash || !ist_parse_u64(slash + 1, 0, most, &bits))
        return false;
    *slash = '\0';
    ret->bits = (unsigned) bits + 128 - most;
    return read_address(address, ret->address);
}

static bool holds(const struct events_network *network,
                  const uint8_t address[16])
{
    unsigned whole = network->bits / 8, rest = network->bits % 8;
    unsigned differ;

    if (memcmp(network->address, address, whole) != 0)
        return false;
    if (rest == 0)
        return true;
    differ = (unsigned) (network->address[whole] ^ address[whole]);
    return differ >> (8 - rest) == 0;
}

static bool is_in(const char *network, const uint8_t address[16])
{
    struct events_network parsed;

    return read_network(network, strlen(network), &parsed) &&
           holds(&parsed, address);
}

static bool is_public(const uint8_t address[16])
{
    if (!is_in(mapped, address) && !is_in(global, address))
        return false;
    for (size_t i = 0; i < IST_COUNT(reserved); i++) {
        if (is_in(reserved[i], address))
            return false;
    }
    return true;
}

static bool allows(const struct events_guard *guard, const uint8_t address[16])
{
    for (size_t i = 0; i < guard->n; i++) {
        if (holds(&guard->allowed[i], address))
            return true;
    }
    return is_public(address);
}

int events_guard_init(struct events_guard *guard, const char *networks,
                      struct ist_err *err)
{
    const char *at = networks && *networks ? networks : NULL, *item;
    size_t len;

    guard->n = 0;
    while (ist_parse_item(&at, &item, &len)) {
        if (guard->n == EVENTS_GUARD_MAX)
            return ist_err_set(err, -EINVAL, "more than %d networks",
                               EVENTS_GUARD_MAX);
        if (!read_network(item, len, &guard->allowed[guard->n]))
            return ist_err_set(err, -EINVAL,
                               "'%.*s' is no network: write 10.1.0.0/16 or "
                               "2001:db8::/32",
                               (int) (len < 60 ? len : 60), item);
        guard->n++;
    }
    return 0;
}

bool events_guard_allows(const struct events_guard *guard,
                         const struct sockaddr *to)
{
    uint8_t address[16] = {[10] = 0xff, [11] = 0xff};
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    switch (to->sa_family) {
    case AF_INET:
        memcpy(&v4, to, sizeof(v4));
        memcpy(address + 12, &v4.sin_addr, 4);
        return allows(guard, address);
    case AF_INET6:
        memcpy(&v6, to, sizeof(v6));
        return allows(guard, v6.sin6_addr.s6_addr);
    default:
        return false;
    }
}

bool events_guard_allows_host(const struct events_guard *guard,
                              const char *host)
{
    uint8_t address[16];

    return !read_address(host, address) || allows(guard, address);
}
