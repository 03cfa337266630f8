/* gguf_cursor.c: see gguf_cursor.h. GGUF is little-endian whatever the machine is. */
#include "gguf_cursor.h"

uint32_t gguf_load_u32(const unsigned char *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

uint64_t gguf_load_u64(const unsigned char *bytes)
{
    return gguf_load_u32(bytes) | (uint64_t)gguf_load_u32(bytes + 4) << 32;
}

size_t gguf_left(const gguf_cursor *c)
{
    return (size_t)(c->end - c->at);
}

bool gguf_take_u32(gguf_cursor *c, uint32_t *out)
{
    if (gguf_left(c) < 4)
        return false;
    *out = gguf_load_u32(c->at);
    c->at += 4;
    return true;
}

bool gguf_take_u64(gguf_cursor *c, uint64_t *out)
{
    if (gguf_left(c) < 8)
        return false;
    *out = gguf_load_u64(c->at);
    c->at += 8;
    return true;
}

bool gguf_take_text(gguf_cursor *c, gguf_text *out)
{
    gguf_cursor start = *c;
    uint64_t size = 0;
    const unsigned char *bytes = NULL;
    if (!gguf_take_u64(c, &size) || !gguf_take_bytes(c, size, 1, &bytes)) {
        *c = start;
        return false;
    }
    *out = (gguf_text){(const char *)bytes, (size_t)size};
    return true;
}

bool gguf_take_bytes(gguf_cursor *c, uint64_t count, size_t size, const unsigned char **out)
{
    if (count > gguf_left(c) / size)
        return false;
    *out = c->at;
    c->at += (size_t)count * size;
    return true;
}
