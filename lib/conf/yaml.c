/* libyaml's events, one after the other, onto a stack of open containers. */
#include "conf/yaml.h"

#include "conf/file.h"

#include <string.h>

#include <yaml.h>

#define ARENA_CAP  (64 * 1024 * 1024) /* A file of 1 MiB needs 30 at most. */
#define MERGE_KEY  "<<"
#define MERGES_MAX 8     /* Of "<<" one behind the other. */
#define LINKS_MAX  10000 /* In one container: names are compared in pairs. */

struct anchor {
    const char *name;
    struct ist_yaml_node *node; /* NULL while its container is open. */
    struct anchor *next;
};

struct level {
    struct ist_yaml_node *node;
    struct ist_yaml_link **tail;
    const char *key; /* Of the value that comes next, in a map. */
    unsigned key_line;
    unsigned n_links;
    struct anchor *anchor;
};

struct builder {
    struct ist_yaml *tree;
    struct ist_conf_report *report;
    unsigned flags;
    struct level levels[IST_YAML_DEPTH_MAX];
    size_t depth;
    struct anchor *anchors;
    unsigned n_documents;
};

static bool refuse(struct builder *b, unsigned line, const char *why)
{
    ist_conf_complain(b->report, line, "%s", why);
    return false;
}

static bool out_of_memory(struct builder *b)
{
    return refuse(b, 0, "too large to be held in memory");
}

static struct ist_yaml_node *node_new(struct builder *b,
                                      enum ist_yaml_type type, unsigned line)
{
    struct ist_yaml_node *node =
        ist_arena_zalloc(&b->tree->arena, sizeof(*node));

    if (!node) {
        out_of_memory(b);
        return NULL;
    }
    node->type = type;
    node->line = line;
    return node;
}

static bool is_twice(const struct level *level, const char *key)
{
    for (const struct ist_yaml_link *l = level->node->first; l; l = l->next) {
        if (strcmp(l->key, key) == 0)
            return true;
    }
    return false;
}

/* Takes a scalar as the name of the member that comes next. */
static bool take_key(struct builder *b, struct level *level, const char *key,
                     unsigned line)
{
    char quote[IST_CONF_QUOTE_SIZE];

    if (is_twice(level, key))
        ist_conf_complain(b->report, line, "%s: given twice",
                          ist_conf_quote(key, quote));
    level->key = key;
    level->key_line = line;
    return true;
}

/* Puts a node into the innermost open container, or makes it the root. */
static bool attach(struct builder *b, struct ist_yaml_node *node)
{
    struct level *level = b->depth ? &b->levels[b->depth - 1] : NULL;
    struct ist_yaml_link *link;

    if (!level) {
        b->tree->root = node;
        return true;
    }
    if (level->node->type == IST_YAML_MAP && !level->key) {
        if (node->type == IST_YAML_SCALAR)
            return take_key(b, level, node->text, node->line);
        return refuse(b, node->line, "the name of a member must be a word");
    }
    if (level->n_links++ == LINKS_MAX)
        return refuse(b, node->line, "too many members");
    link = ist_arena_zalloc(&b->tree->arena, sizeof(*link));
    if (!link)
        return out_of_memory(b);
    link->key = level->key;
    link->line = level->key ? level->key_line : node->line;
    link->node = node;
    *level->tail = link;
    level->tail = &link->next;
    level->key = NULL;
    return true;
}

/* Remembers an anchor, if there is one; false if it must not be there. */
static bool anchor_add(struct builder *b, const yaml_char_t *name,
                       unsigned line, struct anchor **ret)
{
    struct anchor *anchor;

    *ret = NULL;
    if (!name)
        return true;
    if (!(b->flags & IST_YAML_ALIASES))
        return refuse(b, line, "anchors (&name) are not taken here");
    anchor = ist_arena_zalloc(&b->tree->arena, sizeof(*anchor));
    if (anchor)
        anchor->name = ist_arena_strdup(&b->tree->arena, (const char *) name);
    if (!anchor || !anchor->name)
        return out_of_memory(b);
    anchor->next = b->anchors;
    b->anchors = anchor;
    *ret = anchor;
    return true;
}

static bool on_alias(struct builder *b, const char *name, unsigned line)
{
    if (!(b->flags & IST_YAML_ALIASES))
        return refuse(b, line, "aliases (*name) are not taken here");
    for (struct anchor *a = b->anchors; a; a = a->next) {
        if (strcmp(a->name, name) != 0)
            continue;
        if (!a->node)
            return refuse(b, line, "an alias within its own anchor");
        return attach(b, a->node);
    }
    return refuse(b, line, "an alias without its anchor");
}

static bool on_scalar(struct builder *b, const yaml_event_t *event,
                      unsigned line)
{
    const char *value = (const char *) event->data.scalar.value;
    size_t len = event->data.scalar.length;
    struct ist_yaml_node *node = node_new(b, IST_YAML_SCALAR, line);
    struct anchor *anchor;

    if (!node)
        return false;
    if (event->data.scalar.tag)
        return refuse(b, line, "tags (!name) are not taken here");
    if (!anchor_add(b, event->data.scalar.anchor, line, &anchor))
        return false;
    if (memchr(value, '\0', len))
        return refuse(b, line, "a NUL character");
    node->text = ist_arena_dup(&b->tree->arena, value, len);
    if (!node->text)
        return out_of_memory(b);
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (anchor)
        anchor->node = node;
    return attach(b, node);
}

static bool on_open(struct builder *b, enum ist_yaml_type type,
                    const yaml_char_t *tag, const yaml_char_t *name,
                    unsigned line)
{
    struct ist_yaml_node *node = node_new(b, type, line);
    struct anchor *anchor;

    if (!node)
        return false;
    if (tag)
        return refuse(b, line, "tags (!name) are not taken here");
    if (b->depth == IST_YAML_DEPTH_MAX)
        return refuse(b, line, "nested too deep");
    if (!anchor_add(b, name, line, &anchor) || !attach(b, node))
        return false;
    b->levels[b->depth++] =
        (struct level){.node = node, .tail = &node->first, .anchor = anchor};
    return true;
}

static bool on_close(struct builder *b)
{
    struct level *level = &b->levels[--b->depth];

    if (level->anchor)
        level->anchor->node = level->node;
    return true;
}

static bool on_event(struct builder *b, const yaml_event_t *event)
{
    unsigned line = (unsigned) event->start_mark.line + 1;

    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (b->n_documents++)
            return refuse(b, line, "a second document (---)");
        return true;
    case YAML_ALIAS_EVENT:
        return on_alias(b, (const char *) event->data.alias.anchor, line);
    case YAML_SCALAR_EVENT:
        return on_scalar(b, event, line);
    case YAML_SEQUENCE_START_EVENT:
        return on_open(b, IST_YAML_LIST, event->data.sequence_start.tag,
                       event->data.sequence_start.anchor, line);
    case YAML_MAPPING_START_EVENT:
        return on_open(b, IST_YAML_MAP, event->data.mapping_start.tag,
                       event->data.mapping_start.anchor, line);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return on_close(b);
    default:
        return true;
    }
}

static bool on_error(struct builder *b, const yaml_parser_t *parser)
{
    const char *problem = parser->problem ? parser->problem : "not YAML";
    unsigned line = (unsigned) parser->problem_mark.line + 1;

    if (parser->error == YAML_READER_ERROR)
        line = 0;
    ist_conf_complain(b->report, line, "%s%s%s", problem,
                      parser->context ? " " : "",
                      parser->context ? parser->context : "");
    return false;
}

static bool run(struct builder *b, yaml_parser_t *parser)
{
    bool done = false, sound = true;

    while (sound && !done) {
        yaml_event_t event;

        if (!yaml_parser_parse(parser, &event))
            return on_error(b, parser);
        sound = on_event(b, &event);
        done = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    return sound;
}

/* An empty document is given as an empty scalar. */
static void drop_empty_root(struct ist_yaml *tree)
{
    if (tree->root && ist_yaml_is_empty(tree->root))
        tree->root = NULL;
}

bool ist_yaml_parse(struct ist_yaml *tree, const char *data, size_t size,
                    unsigned flags, struct ist_conf_report *report)
{
    struct builder b = {.tree = tree, .report = report, .flags = flags};
    unsigned before = report->n_errors;
    yaml_parser_t parser;
    bool sound;

    *tree = (struct ist_yaml){.root = NULL};
    ist_arena_init(&tree->arena, ARENA_CAP);
    if (size > IST_CONF_FILE_MAX)
        return refuse(&b, 0, "too large");
    if (size >= 2 &&
        (memcmp(data, "\xFF\xFE", 2) == 0 || memcmp(data, "\xFE\xFF", 2) == 0 ||
         (size >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0)))
        return refuse(&b, 1,
                      "begins with a byte order mark: save it as UTF-8 "
                      "without one");
    if (memchr(data, '\0', size))
        return refuse(&b, 0, "holds a NUL byte");
    if (!yaml_parser_initialize(&parser))
        return out_of_memory(&b);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *) data, size);
    sound = run(&b, &parser);
    yaml_parser_delete(&parser);
    drop_empty_root(tree);
    return sound && report->n_errors == before;
}

void ist_yaml_fini(struct ist_yaml *tree)
{
    ist_arena_fini(&tree->arena);
    tree->root = NULL;
}

const struct ist_yaml_node *ist_yaml_get(const struct ist_yaml_node *map,
                                         const char *key)
{
    for (int i = 0; map && map->type == IST_YAML_MAP && i < MERGES_MAX; i++) {
        const struct ist_yaml_node *merged = NULL;

        for (const struct ist_yaml_link *l = map->first; l; l = l->next) {
            if (strcmp(l->key, key) == 0)
                return l->node;
            if (strcmp(l->key, MERGE_KEY) == 0)
                merged = l->node;
        }
        map = merged;
    }
    return NULL;
}

bool ist_yaml_is_empty(const struct ist_yaml_node *node)
{
    return node->type == IST_YAML_SCALAR && !node->quoted &&
           node->text[0] == '\0';
}
