/* tokenizer_spelling.c: see tokenizer_spelling.h. */
#include "tokenizer_spelling.h"

#include <string.h>

static bool is_visible(unsigned byte)
{
    return (byte > 32 && byte < 127) || (byte > 160 && byte != 173);
}

/* The byte of a character of the alphabet, or -1. */
static int byte_of(unsigned character)
{
    if (character < 256)
        return is_visible(character) ? (int)character : -1;
    unsigned next = 256;
    for (unsigned byte = 0; byte < 256; ++byte)
        if (!is_visible(byte) && next++ == character)
            return (int)byte;
    return -1;
}

bool spelling_alphabet(gguf_text text, char *out, size_t *size)
{
    *size = 0;
    for (size_t i = 0; i < text.size; ++i) {
        unsigned character = (unsigned char)text.bytes[i];
        if (character >= 128) {
            /* The alphabet ends below U+0800: two bytes at most. */
            if ((character & 0xe0) != 0xc0 || ++i == text.size || (text.bytes[i] & 0xc0) != 0x80)
                return false;
            character = (character & 31) << 6 | (text.bytes[i] & 63);
        }
        int byte = byte_of(character);
        if (byte < 0)
            return false;
        out[(*size)++] = (char)byte;
    }
    return true;
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;
    return at ? (int)(at - digits) : -1;
}

bool spelling_escapes(gguf_text text, char *out, size_t *size)
{
    static const char letters[] = "tnr\\'\"", meanings[] = "\t\n\r\\'\"";
    *size = 0;
    for (size_t i = 0; i < text.size; ++i) {
        if (text.bytes[i] != '\\') {
            out[(*size)++] = text.bytes[i];
            continue;
        }
        char letter = ++i < text.size ? text.bytes[i] : 0;
        const char *at = letter ? strchr(letters, letter) : NULL;
        if (at) {
            out[(*size)++] = meanings[at - letters];
            continue;
        }
        int high = letter == 'x' && text.size - i > 2 ? hex_digit(text.bytes[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(text.bytes[i + 2]) : -1;
        if (low < 0)
            return false;
        out[(*size)++] = (char)(high << 4 | low);
        i += 2;
    }
    return true;
}

bool spelling_plain(gguf_text text, char *out, size_t *size)
{
    *size = text.size;
    if (text.size)
        memcpy(out, text.bytes, text.size);
    return true;
}
