/* tokenizer_vocabulary.c: see tokenizer_vocabulary.h. */
#include "tokenizer_vocabulary.h"

#include <stdlib.h>

#include "gguf_file.h"
#include "tokenizer.h"

bool vocabulary_create(vocabulary *v, size_t most)
{
    v->count = 0;
    v->entries = calloc(most + 1, sizeof *v->entries);
    return v->entries;
}

void vocabulary_free(vocabulary *v)
{
    free(v->entries);
    *v = (vocabulary){0};
}

void vocabulary_add(vocabulary *v, gguf_text text, uint32_t id)
{
    if (text.size)
        v->entries[v->count++] = (vocabulary_entry){text, id};
}

static int compare_entries(const void *a, const void *b)
{
    const vocabulary_entry *one = a, *other = b;
    int order = gguf_compare(one->text, other->text);
    return order ? order : (one->id > other->id) - (one->id < other->id);
}

void vocabulary_sort(vocabulary *v)
{
    size_t kept = 0;
    qsort(v->entries, v->count, sizeof *v->entries, compare_entries);
    for (size_t i = 0; i < v->count; ++i)
        if (!kept || gguf_compare(v->entries[kept - 1].text, v->entries[i].text))
            v->entries[kept++] = v->entries[i];
    v->count = kept;
}

static int compare_with(const void *text, const void *entry)
{
    return gguf_compare(*(const gguf_text *)text, ((const vocabulary_entry *)entry)->text);
}

uint32_t vocabulary_find(const vocabulary *v, gguf_text text)
{
    const vocabulary_entry *entry = bsearch(&text, v->entries, v->count, sizeof *v->entries, compare_with);
    return entry ? entry->id : TOKEN_NONE;
}

/* The first of the entries [first, last), equal in their first `depth` bytes, whose byte there is `least` or more. */
static size_t bound(const vocabulary *v, size_t first, size_t last, size_t depth, int least)
{
    while (first < last) {
        size_t middle = first + (last - first) / 2;
        gguf_text text = v->entries[middle].text;
        int byte = depth < text.size ? (unsigned char)text.bytes[depth] : -1;
        if (byte < least)
            first = middle + 1;
        else
            last = middle;
    }
    return first;
}

uint32_t vocabulary_longest(const vocabulary *v, gguf_text text, size_t *length)
{
    uint32_t id = TOKEN_NONE;
    size_t first = 0, last = v->count;
    *length = 0;
    for (size_t depth = 0; depth < text.size; ++depth) {
        int byte = (unsigned char)text.bytes[depth];
        first = bound(v, first, last, depth, byte);
        last = bound(v, first, last, depth, byte + 1);
        if (first == last)
            break;
        /* The shortest comes first. */
        if (v->entries[first].text.size == depth + 1) {
            id = v->entries[first].id;
            *length = depth + 1;
        }
    }
    return id;
}
