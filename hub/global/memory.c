#include "global/memory.h"

#include "base/scope.h"

#include <stdlib.h>
#include <string.h>

static int memo_cmp(struct global_memo *a, struct global_memo *b)
{
    return strcmp(a->name, b->name);
}

RB_GENERATE_INTERNAL(global_memos, global_memo, node, memo_cmp,
                     IST_UNUSED_STATIC)

static size_t cost(const struct global_memo *memo)
{
    return sizeof(*memo) + strlen(memo->name) + memo->size + 2;
}

static void drop(struct global_memory *memory, struct global_memo *memo)
{
    RB_REMOVE(global_memos, &memory->by_name, memo);
    TAILQ_REMOVE(&memory->by_use, memo, use);
    memory->n--;
    memory->n_bytes -= cost(memo);
    free(memo->name);
    free(memo->text);
    free(memo);
}

static struct global_memo *find(struct global_memory *memory, const char *name)
{
    struct global_memo key = {.name = (char *) (uintptr_t) name};

    return RB_FIND(global_memos, &memory->by_name, &key);
}

static struct global_memo *memo_new(const char *name, const void *text,
                                    size_t size)
{
    struct global_memo *memo = calloc(1, sizeof(*memo));

    if (!memo)
        return NULL;
    memo->name = strdup(name);
    memo->text = malloc(size + 1);
    if (!memo->name || !memo->text) {
        free(memo->name);
        free(memo->text);
        free(memo);
        return NULL;
    }
    memcpy(memo->text, text, size);
    memo->text[size] = '\0';
    memo->size = size;
    return memo;
}

void global_memory_put(struct global_memory *memory, const char *name,
                       const void *text, size_t size, uint64_t now_ms)
{
    struct global_memo *memo;

    global_memory_forget(memory, name);
    memo = size <= GLOBAL_MEMORY_ONE ? memo_new(name, text, size) : NULL;
    if (!memo)
        return;
    memo->at_ms = now_ms;
    RB_INSERT(global_memos, &memory->by_name, memo);
    TAILQ_INSERT_HEAD(&memory->by_use, memo, use);
    memory->n++;
    memory->n_bytes += cost(memo);
    while (memory->n > GLOBAL_MEMORY_NAMES ||
           memory->n_bytes > GLOBAL_MEMORY_MAX)
        drop(memory, TAILQ_LAST(&memory->by_use, global_memo_uses));
}

const struct global_memo *global_memory_find(struct global_memory *memory,
                                             const char *name)
{
    struct global_memo *memo = find(memory, name);

    if (memo) {
        TAILQ_REMOVE(&memory->by_use, memo, use);
        TAILQ_INSERT_HEAD(&memory->by_use, memo, use);
    }
    return memo;
}

void global_memory_forget(struct global_memory *memory, const char *name)
{
    struct global_memo *memo = find(memory, name);

    if (memo)
        drop(memory, memo);
}

void global_memory_init(struct global_memory *memory)
{
    *memory = (struct global_memory){0};
    RB_INIT(&memory->by_name);
    TAILQ_INIT(&memory->by_use);
}

void global_memory_fini(struct global_memory *memory)
{
    while (!TAILQ_EMPTY(&memory->by_use))
        drop(memory, TAILQ_FIRST(&memory->by_use));
}
