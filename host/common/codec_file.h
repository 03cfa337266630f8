/* codec_file.h: codecs in a file, one for each layer of a model or one for all: JSON
 *   {"window": 64, "recent": 64, "exact_first": 4,
 *    "layers": [{"k": {"backbone": "mixed", "segments": [[16, 4], [48, 2]], "rank_prompt": 4, "factor_bits": 4},
 *                "v": {"backbone": "mixed", "bits": 2, "rotate": 1}}, ...]}
 * Names and meanings are those of gear_codec and gear_cache_desc; a missing member is what gear_codec_init writes, and for the
 * cache a window of 64, nothing exact and recent 0. "exact_first" may be "auto". An unknown member is refused, so that a
 * misspelt one is not overlooked; ranges are the library's to check. */
#ifndef HOST_CODEC_FILE_H
#define HOST_CODEC_FILE_H

#include "out_file.h"
#include "recipe.h"

typedef struct codec_file {
    recipe base;             /* what is not compressed; codecs: those of the first layer */
    gear_codec_pair *layers; /* owned by the reader's caller: [count] */
    uint32_t count;
} codec_file;

/* Failures say "FILE: reason", with a line where the text is no JSON. */
bool codec_file_read(const char *path, codec_file *out, host_error *error);

/* Writes the file and puts it in its place, or discards it: what codec_file_read takes. */
bool codec_file_write(const codec_file *codecs, out_file *file, host_error *error);

#endif
