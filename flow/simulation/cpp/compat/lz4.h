// The two LZ4 functions that Verilator's FST writer calls, for machines without the LZ4 headers.
//
// Output follows the LZ4 block format: sequences of a token (literal count, match length - 4), the
// literals, and a 16-bit distance. The last five bytes are literals and no match starts within the
// last twelve, as the format demands. Greedy search with one hash slot per four-byte pattern.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

// Upper bound of the compressed size of `size` bytes.
inline int LZ4_compressBound(int size) { return size + size / 255 + 16; }

// Compress `size` bytes of `source` into `target`; returns the bytes written, 0 where they do not fit.
inline int LZ4_compress_default(const char* source, char* target, int size, int capacity) {
    if (capacity < LZ4_compressBound(size)) return 0;
    constexpr int min_match = 4, last_literals = 5, match_limit = 12, max_distance = 65535;
    const auto* const in = reinterpret_cast<const uint8_t*>(source);
    auto* out = reinterpret_cast<uint8_t*>(target);
    std::vector<int> table(1 << 14, -1);

    const auto put_length = [&out](int rest) {
        for (; rest >= 255; rest -= 255) *out++ = 255;
        *out++ = static_cast<uint8_t>(rest);
    };
    const auto put_literals = [&](int from, int count, int match_code) {
        *out++ = static_cast<uint8_t>((count < 15 ? count : 15) << 4 | (match_code < 15 ? match_code : 15));
        if (count >= 15) put_length(count - 15);
        std::memcpy(out, in + from, count);
        out += count;
    };

    int anchor = 0;
    for (int at = 0; at < size - match_limit;) {
        uint32_t word;
        std::memcpy(&word, in + at, sizeof word);
        int& slot = table[(word * 2654435761U) >> 18];
        const int candidate = slot;
        slot = at;
        if (candidate < 0 || at - candidate > max_distance || std::memcmp(in + candidate, in + at, min_match)) {
            ++at;
            continue;
        }
        int length = min_match;
        while (at + length < size - last_literals && in[candidate + length] == in[at + length]) ++length;
        put_literals(anchor, at - anchor, length - min_match);
        *out++ = static_cast<uint8_t>(at - candidate);
        *out++ = static_cast<uint8_t>((at - candidate) >> 8);
        if (length - min_match >= 15) put_length(length - min_match - 15);
        at += length;
        anchor = at;
    }
    put_literals(anchor, size - anchor, 0);
    return static_cast<int>(reinterpret_cast<char*>(out) - target);
}
