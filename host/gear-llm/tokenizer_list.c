/* tokenizer_list.c: lists of tokens that grow, see tokenizer.h. */
#include <stdlib.h>

#include "tokenizer.h"

bool token_list_push(token_list *list, uint32_t id)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 64;
        uint32_t *ids =
            capacity > list->capacity && capacity <= SIZE_MAX / sizeof *ids ? realloc(list->ids, capacity * sizeof *ids) : NULL;
        if (!ids)
            return false;
        list->ids = ids;
        list->capacity = capacity;
    }
    list->ids[list->count++] = id;
    return true;
}

void token_list_free(token_list *list)
{
    free(list->ids);
    *list = (token_list){0};
}
