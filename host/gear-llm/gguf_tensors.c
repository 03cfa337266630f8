/* gguf_tensors.c: the tensors of a model file: their descriptions, where their data lies, and finding one by name. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gguf_blocks.h"
#include "gguf_file.h"

/* A name of one byte, the number of dimensions, one dimension, type and offset. */
#define TENSOR_LEAST      33u
#define ALIGNMENT_DEFAULT 32u
#define ALIGNMENT_LEAST   8u

/* Bytes of the tensor's data, or false: its shape is impossible. */
static bool count_bytes(gguf *file, gguf_tensor *tensor, host_error *error)
{
    const gguf_block *block = gguf_block_of((uint32_t)tensor->type);
    uint64_t rows = 1;
    for (uint32_t i = 0; i < tensor->ndim; ++i)
        if (!tensor->shape[i])
            return gguf_refuse(file, error, "tensor %s has a dimension of zero", tensor->name);
    if (tensor->shape[0] % block->values)
        return gguf_refuse(file, error, "tensor %s has rows of %" PRIu64 " values, no multiple of the %u of a block of %s",
                           tensor->name, tensor->shape[0], block->values, block->name);
    for (uint32_t i = 1; i < tensor->ndim; ++i) {
        if (rows > UINT64_MAX / tensor->shape[i])
            return gguf_refuse(file, error, "tensor %s is too large", tensor->name);
        rows *= tensor->shape[i];
    }
    uint64_t blocks = tensor->shape[0] / block->values;
    if (blocks > SIZE_MAX / block->bytes / rows)
        return gguf_refuse(file, error, "tensor %s is too large", tensor->name);
    tensor->bytes = (size_t)(blocks * block->bytes * rows);
    return true;
}

/* One description; its data's place behind the descriptions goes to `offset`. */
static bool read_tensor(gguf *file, gguf_cursor *c, gguf_tensor *tensor, uint64_t *offset, host_error *error)
{
    gguf_text name;
    uint32_t type = 0;
    if (!gguf_take_text(c, &name))
        return gguf_refuse(file, error, "the file ends in the names of its tensors");
    if (!name.size || memchr(name.bytes, 0, name.size))
        return gguf_refuse(file, error, "a tensor has no proper name");
    tensor->name = gguf_copy_text(file, name);
    if (!tensor->name)
        return gguf_no_memory(file, error);
    if (!gguf_take_u32(c, &tensor->ndim))
        return gguf_refuse(file, error, "the file ends in the description of tensor %s", tensor->name);
    if (!tensor->ndim || tensor->ndim > GGUF_MAX_DIMS)
        return gguf_refuse(file, error, "tensor %s has %u dimensions; 1 to %d are read", tensor->name, tensor->ndim,
                           GGUF_MAX_DIMS);
    for (uint32_t i = 0; i < GGUF_MAX_DIMS; ++i) {
        tensor->shape[i] = 1;
        if (i < tensor->ndim && !gguf_take_u64(c, &tensor->shape[i]))
            return gguf_refuse(file, error, "the file ends in the description of tensor %s", tensor->name);
    }
    if (!gguf_take_u32(c, &type) || !gguf_take_u64(c, offset))
        return gguf_refuse(file, error, "the file ends in the description of tensor %s", tensor->name);
    if (!gguf_block_of(type)) {
        const char *known = gguf_type_name(type);
        return known ? gguf_refuse(file, error, "tensor %s has the type %s, which is not read", tensor->name, known)
                     : gguf_refuse(file, error, "tensor %s has the unknown type %u", tensor->name, type);
    }
    tensor->type = (gguf_type)type;
    return count_bytes(file, tensor, error);
}

static bool alignment_of(gguf *file, uint32_t *alignment, host_error *error)
{
    *alignment = ALIGNMENT_DEFAULT;
    if (!gguf_has(file, "general.alignment"))
        return true;
    if (!gguf_u32(file, "general.alignment", alignment, error))
        return false;
    return (*alignment >= ALIGNMENT_LEAST && !(*alignment & (*alignment - 1))) ||
           gguf_refuse(file, error, "general.alignment is %u; a power of two from %u is needed", *alignment, ALIGNMENT_LEAST);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(const gguf_tensor *const *)a)->name, (*(const gguf_tensor *const *)b)->name);
}

static int compare_places(const void *a, const void *b)
{
    const unsigned char *one = (*(const gguf_tensor *const *)a)->data, *other = (*(const gguf_tensor *const *)b)->data;
    return (one > other) - (one < other);
}

/* No two tensors share bytes or a name; leaves by_name in order. */
static bool check_apart(gguf *file, host_error *error)
{
    const gguf_tensor **list = file->by_name;
    for (size_t i = 0; i < file->num_tensors; ++i)
        list[i] = &file->tensors[i];
    qsort(list, file->num_tensors, sizeof *list, compare_places);
    for (size_t i = 1; i < file->num_tensors; ++i)
        if ((size_t)((const unsigned char *)list[i]->data - (const unsigned char *)list[i - 1]->data) < list[i - 1]->bytes)
            return gguf_refuse(file, error, "tensors %s and %s overlap", list[i - 1]->name, list[i]->name);
    qsort(list, file->num_tensors, sizeof *list, compare_names);
    for (size_t i = 1; i < file->num_tensors; ++i)
        if (!compare_names(&list[i - 1], &list[i]))
            return gguf_refuse(file, error, "the tensor %s is there twice", list[i]->name);
    return true;
}

/* From offsets in the data to addresses. */
static bool place(gguf *file, size_t first, const uint64_t *offsets, uint32_t alignment, host_error *error)
{
    for (size_t i = 0; i < file->num_tensors; ++i) {
        gguf_tensor *tensor = &file->tensors[i];
        if (offsets[i] % alignment)
            return gguf_refuse(file, error, "tensor %s is not aligned to %u bytes", tensor->name, alignment);
        if (first > file->size || offsets[i] > file->size - first || tensor->bytes > file->size - first - offsets[i])
            return gguf_refuse(file, error, "tensor %s goes beyond the end of the file", tensor->name);
        tensor->data = file->bytes + first + offsets[i];
    }
    return true;
}

bool gguf_read_tensors(gguf *file, gguf_cursor *c, uint64_t count, host_error *error)
{
    bool ok = false;
    uint32_t alignment = 0;
    if (!alignment_of(file, &alignment, error))
        return false;
    if (count > gguf_left(c) / TENSOR_LEAST)
        return gguf_refuse(file, error, "the file is too short for its number of tensors");
    file->tensors = calloc((size_t)count + 1, sizeof *file->tensors);
    file->by_name = calloc((size_t)count + 1, sizeof *file->by_name);
    uint64_t *offsets = calloc((size_t)count + 1, sizeof *offsets);
    if (!file->tensors || !file->by_name || !offsets) {
        gguf_no_memory(file, error);
        goto cleanup;
    }
    for (size_t i = 0; i < count; ++i)
        if (!read_tensor(file, c, &file->tensors[i], &offsets[i], error))
            goto cleanup;
    file->num_tensors = (size_t)count;
    size_t behind = (size_t)(c->at - file->bytes);
    size_t padding = (size_t)(alignment - behind % alignment) % alignment;
    ok = place(file, behind + padding, offsets, alignment, error) && check_apart(file, error);
cleanup:
    free(offsets);
    return ok;
}

size_t gguf_tensor_count(const gguf *file)
{
    return file->num_tensors;
}

const gguf_tensor *gguf_tensor_at(const gguf *file, size_t i)
{
    return &file->tensors[i];
}

const gguf_tensor *gguf_find(const gguf *file, const char *name)
{
    gguf_tensor wanted = {.name = name};
    const gguf_tensor *key = &wanted;
    const gguf_tensor **found = bsearch(&key, file->by_name, file->num_tensors, sizeof *file->by_name, compare_names);
    return found ? *found : NULL;
}

/* "[576, 49152]" */
static void print_shape(char *out, size_t size, uint32_t ndim, const uint64_t *shape)
{
    size_t used = 0;
    for (uint32_t i = 0; i < ndim && used < size; ++i)
        used += (size_t)snprintf(out + used, size - used, "%s%" PRIu64 "%s", i ? ", " : "[", shape[i], i + 1 < ndim ? "" : "]");
}

bool gguf_require(const gguf *file, const char *name, uint32_t ndim, const uint64_t *shape, const gguf_tensor **out,
                  host_error *error)
{
    const gguf_tensor *tensor = gguf_find(file, name);
    if (!tensor)
        return gguf_refuse(file, error, "the tensor %s is missing", name);
    for (uint32_t i = 0; i < GGUF_MAX_DIMS; ++i)
        if (tensor->shape[i] != (i < ndim ? shape[i] : 1)) {
            char is[96], wanted[96];
            print_shape(is, sizeof is, tensor->ndim, tensor->shape);
            print_shape(wanted, sizeof wanted, ndim, shape);
            return gguf_refuse(file, error, "tensor %s has the shape %s where %s is needed", name, is, wanted);
        }
    *out = tensor;
    return true;
}
