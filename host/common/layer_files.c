/* layer_files.c: see layer_files.h. */
#include "layer_files.h"

#include <stdlib.h>

#include "args.h"
#include "error.h"

static error_t add_path(layer_paths *list, const char *path, const struct argp_state *state)
{
    const char **grown = realloc(list->items, (list->count + 1) * sizeof *grown);
    if (!grown) {
        argp_failure(state, EXIT_DEVICE, 0, "host memory exhausted");
        return 0;
    }
    list->items = grown;
    list->items[list->count++] = path;
    return 0;
}

error_t layer_files_parse(layer_files *files, int key, const char *text, const struct argp_state *state)
{
    switch (key) {
    case LAYER_KEY_K: return add_path(&files->k, text, state);
    case LAYER_KEY_V: return add_path(&files->v, text, state);
    case LAYER_KEY_Q: return add_path(&files->q, text, state);
    case LAYER_KEY_SCALE:
        files->scale = args_float("scale", text, state);
        if (!(files->scale > 0))
            argp_failure(state, EXIT_INPUT, 0, "--scale: '%s' is not above 0", text);
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

void layer_files_check(const layer_files *files, int optional_q, const struct argp_state *state)
{
    const size_t k = files->k.count, v = files->v.count, q = files->q.count;
    if (v != k || (q != k && !(optional_q && !q)))
        argp_failure(state, EXIT_INPUT, 0, "--k, --v and --q must be given equally often (%zu, %zu, %zu)", k, v, q);
}

void layer_files_free(layer_files *files)
{
    free(files->k.items);
    free(files->v.items);
    free(files->q.items);
}
