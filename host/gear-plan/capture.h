/* capture.h: keys, values and queries of every layer, from files or from a model that reads windows of text. */
#ifndef GEAR_PLAN_CAPTURE_H
#define GEAR_PLAN_CAPTURE_H

#include "../gear-llm/windows.h"
#include "../gear-pack/input.h"

typedef struct capture {
    input *inputs; /* owned: [windows][layers] */
    uint32_t windows, layers;
    uint64_t prompt; /* tokens that come in one call; 0: all */
} capture;

/* One triple of files a layer. */
bool capture_files(const char *const *k, const char *const *v, const char *const *q, uint32_t layers, float scale,
                   const device *dev, capture *out, host_error *error);
/* Prompt and text of each window in one exact pass. The queries that count are the last of the text behind the prompt, 64 at
 * most; the squares are those of the prompt. The exact attention, which only measuring needs, is left to capture_exact. The
 * engine's first spec is the 16-bit cache. */
bool capture_model(engine *e, const windows *w, capture *out, host_error *error);
/* Computes the exact attention of all inputs. */
bool capture_exact(capture *c, host_error *error);
void capture_free(capture *c);

#endif
