/* world.h: the cache of one shape, filled as the shape says. */
#ifndef GEAR_MEASURE_WORLD_H
#define GEAR_MEASURE_WORLD_H

#include "data.h"
#include "shapes.h"

typedef struct world {
    const device *dev;
    gear_context *context; /* borrowed */
    generator *data;
    const bench_shape *shape;
    uint32_t layer; /* of data->real, where the shape asks for it */
    gear_cache *cache;
    gear_sequence *sequences; /* [batch] */
    uint32_t *lengths;        /* [batch] tokens that each holds or is to hold */
    cl_mem k, v;              /* halves [sequences][heads][tokens][head_dim] on their way in */
    size_t kv_bytes;          /* of each */
    gear_sequence *ballast;   /* sequences that keep the pool scattered while it is filled; 0: gone */
    size_t num_ballast;
    gear_cache_plan plan;
    /* What the sequences hold: all of it when filled. */
    gear_bytes bytes; /* window: of the tokens in it, not of the ring */
    uint64_t tokens, compressed;
} world;

/* What programs call the attend kernels, by their number: "auto", "portable", ... */
enum { NUM_ATTEND_KERNELS = 4 };
extern const char *const attend_kernel_names[NUM_ATTEND_KERNELS];

/* How attention is to be computed; all zero: as the library chooses. */
typedef struct world_choice {
    gear_attend_kernel kernel;
    gear_attend_tuning tuning;
} world_choice;

/* The cache of a shape, as world_open makes it, but for its capacity where `shuffled` needs more. */
void world_describe(const bench_shape *shape, const world_choice *choice, gear_cache_desc *desc);

/* Makes the cache; *refused is set where the library does not serve the shape, with the reason in `error`. */
bool world_open(world *w, const device *dev, gear_context *context, generator *data, const bench_shape *shape,
                const world_choice *choice, bool *refused, host_error *error);
void world_close(world *w);

/* Fills every sequence: prompt or decode segments, scattered or not, then the window. */
bool world_fill(world *w, host_error *error);

/* A value of K or V that every sequence is filled with. */
float world_value(const world *w, bool is_v, uint32_t head, uint32_t token, uint32_t channel);

/* Makes k and v hold whole sequences of the batch, for world_append_all. */
bool world_stage_all(world *w, host_error *error);
/* Empties every sequence; host state only. */
bool world_clear(world *w, host_error *error);
/* Appends `tokens` tokens from position `first` on, of those that world_stage_all left, to all sequences at once; they have
 * `first` tokens each. */
bool world_append_staged(world *w, uint32_t first, uint32_t tokens, cl_command_queue queue, cl_event *signal,
                         host_error *error);
/* Appends to all the (empty) sequences at once. */
bool world_append_all(world *w, cl_command_queue queue, cl_event *signal, host_error *error);

/* Fills bytes, tokens and compressed. */
bool world_count(world *w, host_error *error);

/* Bits of each compressed value, everything but the window counted; NaN without a compressed token. */
double world_bits(const world *w);

cl_mem buffer_of(const device *dev, size_t bytes, host_error *error);

#endif
