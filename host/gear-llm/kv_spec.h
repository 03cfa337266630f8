/* kv_spec.h: how a cache stores its tokens, by a word of the command line:
 *   16                               halves, uncompressed
 *   gear_2_6, mix_3_5, ...           a preset of the library
 *   kivi2, kcvt4+L, token2+LS, ...   BACKBONE BITS [+L|+S|+LS]: groups of 64, segments of 64 tokens, L of rank 4 in prompts and
 * 2 in
 *                                    decoding with 16-bit factors, S of 2 % at least one an end, no exact tokens, recent 0
 *   FILE.json                        a codec for each layer (codec_file.h)
 * The codec flags change what the words say, but for 16. */
#ifndef GEAR_LLM_KV_SPEC_H
#define GEAR_LLM_KV_SPEC_H

#include <stddef.h>

#include "codec_flags.h"

typedef struct kv_spec {
    char *name;              /* owned: as on the command line */
    recipe base;             /* of every layer, unless `layers` is given */
    gear_codec_pair *layers; /* owned: [num_layers], or NULL */
    uint32_t num_layers;
} kv_spec;

typedef struct kv_spec_list {
    kv_spec *items; /* owned */
    size_t count;
} kv_spec_list;

/* "SPEC,SPEC,..." for a model of so many layers with this head_dim. An unknown word is a failure with EXIT_INPUT that names it.
 * */
bool kv_spec_parse_list(const char *text, const codec_flags *overrides, uint32_t num_layers, uint32_t head_dim,
                        kv_spec_list *out, host_error *error);
void kv_spec_list_free(kv_spec_list *list);

/* Whether it is the uncompressed cache. */
bool kv_spec_is_exact(const kv_spec *spec);
/* Whether any layer orders its channels, for which append takes the mean square of the queries. */
bool kv_spec_ordered(const kv_spec *spec);
/* Writes the spec's part of a cache's descriptor; the codecs are borrowed. */
void kv_spec_apply(const kv_spec *spec, gear_cache_desc *desc);

#endif
