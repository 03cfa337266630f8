/* tokenizer_merges.c: see tokenizer_merges.h. The word is a doubly linked list of tokens; pairs that may be joined wait in a
 * binary heap, and those that a join has overtaken are dropped when their turn comes. */
#include "tokenizer_merges.h"

#include <stdlib.h>
#include <string.h>

#include "gguf_file.h"
#include "tokenizer.h"
#include "tokenizer_spelling.h"

typedef struct merge_symbol {
    uint32_t id;           /* TOKEN_NONE: joined to its left neighbour */
    size_t previous, next; /* SIZE_MAX: none */
} merge_symbol;

typedef struct merge_candidate {
    const merge *pair;
    size_t left;
} merge_candidate;

static int compare_merges(const void *a, const void *b)
{
    const merge *one = a, *other = b;
    if (one->left != other->left)
        return one->left < other->left ? -1 : 1;
    return (one->right > other->right) - (one->right < other->right);
}

static int compare_ranked(const void *a, const void *b)
{
    const merge *one = a, *other = b;
    int order = compare_merges(a, b);
    return order ? order : (one->rank > other->rank) - (one->rank < other->rank);
}

static uint32_t find_spelt(const vocabulary *v, gguf_text text, char *bytes, size_t *size)
{
    return spelling_alphabet(text, bytes, size) ? vocabulary_find(v, (gguf_text){bytes, *size}) : TOKEN_NONE;
}

/* `bytes` has room for the line. */
static bool read_line(gguf_text line, const vocabulary *v, char *bytes, merge *out)
{
    const char *space = line.size ? memchr(line.bytes, ' ', line.size) : NULL;
    if (!space)
        return false;
    size_t first = (size_t)(space - line.bytes), left = 0, right = 0;
    gguf_text behind = {space + 1, line.size - first - 1};
    out->left = find_spelt(v, (gguf_text){line.bytes, first}, bytes, &left);
    out->right = find_spelt(v, behind, bytes + left, &right);
    out->joined = vocabulary_find(v, (gguf_text){bytes, left + right});
    return out->left != TOKEN_NONE && out->right != TOKEN_NONE && out->joined != TOKEN_NONE;
}

bool merges_create(const gguf *file, const gguf_strings *lines, const vocabulary *v, merge_list *out, host_error *error)
{
    bool ok = false;
    size_t longest = 0, kept = 0;
    for (size_t i = 0; i < lines->count; ++i)
        longest = lines->at[i].size > longest ? lines->at[i].size : longest;
    char *bytes = malloc(longest + 1);
    out->at = calloc(lines->count + 1, sizeof *out->at);
    if (!bytes || !out->at) {
        gguf_no_memory(file, error);
        goto cleanup;
    }
    for (size_t i = 0; i < lines->count; ++i) {
        out->at[i].rank = (uint32_t)i;
        if (!read_line(lines->at[i], v, bytes, &out->at[i])) {
            gguf_refuse(file, error, "merge %zu (%.*s) is not of two tokens that join to one", i, gguf_shown(lines->at[i]),
                        lines->at[i].bytes);
            goto cleanup;
        }
    }
    qsort(out->at, lines->count, sizeof *out->at, compare_ranked);
    for (size_t i = 0; i < lines->count; ++i)
        if (!kept || compare_merges(&out->at[kept - 1], &out->at[i]))
            out->at[kept++] = out->at[i];
    out->count = kept;
    ok = true;
cleanup:
    free(bytes);
    if (!ok)
        merges_free(out);
    return ok;
}

void merges_free(merge_list *merges)
{
    free(merges->at);
    *merges = (merge_list){0};
}

static bool before(merge_candidate a, merge_candidate b)
{
    return a.pair->rank != b.pair->rank ? a.pair->rank < b.pair->rank : a.left < b.left;
}

static void push(merge_candidate *heap, size_t *count, merge_candidate added)
{
    size_t i = (*count)++;
    for (; i && before(added, heap[(i - 1) / 2]); i = (i - 1) / 2)
        heap[i] = heap[(i - 1) / 2];
    heap[i] = added;
}

static merge_candidate pop(merge_candidate *heap, size_t *count)
{
    merge_candidate top = heap[0], moved = heap[--*count];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < *count; i = child) {
        if (child + 1 < *count && before(heap[child + 1], heap[child]))
            ++child;
        if (!before(heap[child], moved))
            break;
        heap[i] = heap[child];
    }
    heap[i] = moved;
    return top;
}

/* The pair of `left` and its next neighbour joins the heap if the merges have it. */
static void consider(const merge_list *merges, merge_scratch *scratch, size_t *waiting, size_t left)
{
    if (left == SIZE_MAX || scratch->symbols[left].next == SIZE_MAX)
        return;
    merge wanted = {.left = scratch->symbols[left].id, .right = scratch->symbols[scratch->symbols[left].next].id};
    const merge *pair = bsearch(&wanted, merges->at, merges->count, sizeof *merges->at, compare_merges);
    if (pair)
        push(scratch->heap, waiting, (merge_candidate){pair, left});
}

static bool reserve(merge_scratch *scratch, size_t count)
{
    if (count <= scratch->capacity)
        return true;
    merge_scratch_free(scratch);
    if (count > SIZE_MAX / 4 / sizeof *scratch->symbols)
        return false;
    scratch->symbols = malloc(count * sizeof *scratch->symbols);
    /* The first pairs, and two more for each of the joins. */
    scratch->heap = malloc(3 * count * sizeof *scratch->heap);
    if (!scratch->symbols || !scratch->heap) {
        merge_scratch_free(scratch);
        return false;
    }
    scratch->capacity = count;
    return true;
}

bool merges_apply(const merge_list *merges, merge_scratch *scratch, uint32_t *ids, size_t *count)
{
    size_t n = *count, waiting = 0, kept = 0;
    if (n < 2)
        return true;
    if (!reserve(scratch, n))
        return false;
    merge_symbol *symbols = scratch->symbols;
    for (size_t i = 0; i < n; ++i)
        symbols[i] = (merge_symbol){ids[i], i ? i - 1 : SIZE_MAX, i + 1 < n ? i + 1 : SIZE_MAX};
    for (size_t i = 0; i + 1 < n; ++i)
        consider(merges, scratch, &waiting, i);
    while (waiting) {
        merge_candidate best = pop(scratch->heap, &waiting);
        merge_symbol *left = &symbols[best.left];
        if (left->id != best.pair->left || left->next == SIZE_MAX || symbols[left->next].id != best.pair->right)
            continue;
        merge_symbol *right = &symbols[left->next];
        left->id = best.pair->joined;
        left->next = right->next;
        right->id = TOKEN_NONE;
        if (left->next != SIZE_MAX)
            symbols[left->next].previous = best.left;
        consider(merges, scratch, &waiting, left->previous);
        consider(merges, scratch, &waiting, best.left);
    }
    for (size_t i = 0; i != SIZE_MAX; i = symbols[i].next)
        ids[kept++] = symbols[i].id;
    *count = kept;
    return true;
}

void merge_scratch_free(merge_scratch *scratch)
{
    free(scratch->symbols);
    free(scratch->heap);
    *scratch = (merge_scratch){0};
}
