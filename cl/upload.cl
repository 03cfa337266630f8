/* upload: writes words that travel as a kernel argument into a table. The host enqueues it instead of a buffer write, because the
 * argument is copied at enqueue time: no host memory has to outlive the call, and nothing waits. */
#include "layout.h"

typedef struct gear_upload_words {
    uint word[GEAR__UPLOAD_WORDS];
} gear_upload_words;

__kernel void gear_k_upload(__global uint *table, uint offset, uint count, gear_upload_words words)
{
    uint i = (uint)get_global_id(0);
    if (i < count) {
        table[offset + i] = words.word[i];
    }
}
