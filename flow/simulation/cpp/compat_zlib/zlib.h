// The two zlib functions that Verilator's FST writer calls, for machines without the zlib headers.
// Stored blocks only (RFC 1950, RFC 1951 section 3.2.4): valid for every reader, without compression.
#pragma once

#include <cstdint>
#include <cstring>

using Bytef = unsigned char;
using uLong = unsigned long;
using uLongf = unsigned long;
constexpr int Z_OK = 0, Z_BUF_ERROR = -5;

inline uLong compressBound(uLong size) { return size + 5 * (size / 65535 + 1) + 6; }

inline int compress2(Bytef* target, uLongf* target_size, const Bytef* source, uLong size, int) {
    if (*target_size < compressBound(size)) return Z_BUF_ERROR;
    Bytef* out = target;
    *out++ = 0x78;
    *out++ = 0x01;
    uint32_t low = 1, high = 0;
    for (uLong i = 0; i < size; ++i) {
        low = (low + source[i]) % 65521;
        high = (high + low) % 65521;
    }
    uLong at = 0;
    do {
        const uLong count = size - at < 65535 ? size - at : 65535;
        *out++ = at + count == size;
        *out++ = count & 255;
        *out++ = count >> 8;
        *out++ = ~count & 255;
        *out++ = ~count >> 8 & 255;
        std::memcpy(out, source + at, count);
        out += count;
        at += count;
    } while (at < size);
    const uint32_t check = high << 16 | low;
    for (int shift = 24; shift >= 0; shift -= 8) *out++ = check >> shift & 255;
    *target_size = out - target;
    return Z_OK;
}
