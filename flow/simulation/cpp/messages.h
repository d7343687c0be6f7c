// What a design says. Verilator prints $display and failed assertions through VL_PRINTF; compiled with `-include` of this file, its
// runtime prints on as before but keeps an error's sentence for whoever raises it.
#pragma once

#include <cstdarg>
#include <cstdio>
#include <string>

#define VL_PRINTF gf_print

inline thread_local std::string gf_error_said;

inline int gf_print(const char* format, ...) {
    std::va_list arguments, copy;
    va_start(arguments, format);
    va_copy(copy, arguments);
    std::string text(static_cast<size_t>(std::vsnprintf(nullptr, 0, format, copy)) + 1, '\0');
    std::vsnprintf(text.data(), text.size(), format, arguments);
    va_end(copy);
    va_end(arguments);
    text.pop_back();
    for (const char* kind : {"%Error: ", "%Fatal: "}) {
        const size_t at = text.find(kind);
        if (at == std::string::npos) continue;
        gf_error_said = text.substr(at + 8, text.find('\n', at) - at - 8);
        return static_cast<int>(text.size());
    }
    return std::fputs(text.c_str(), stdout);
}

// The sentence of the last error, which "FILE:LINE: Assertion failed in PLACE: SENTENCE" gives as "SENTENCE (PLACE)", or `otherwise`.
inline std::string gf_take_error(const std::string& otherwise) {
    std::string said;
    said.swap(gf_error_said);
    if (said.empty()) return otherwise;
    const std::string mark = "Assertion failed in ";
    const size_t begin = said.find(mark), end = said.find(": ", begin == std::string::npos ? begin : begin + mark.size());
    if (end == std::string::npos) return said;
    const size_t place = begin + mark.size();
    return said.substr(end + 2) + " (" + said.substr(place, end - place) + ")";
}
