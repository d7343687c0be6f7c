// All headers that stay the same for every model, precompiled from a copy (flow/simulation/toolchain.py), which the pragma would
// not know for the same file.
#ifndef GF_PREFIX_H
#define GF_PREFIX_H
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "messages.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_fst_c.h"
#endif

// Verilator draws the power-on value of a memory's words from its seed, the scope and the variable: one value for all of
// them. Here each draw has a number of its own.
inline thread_local uint64_t gf_drawn = 0;
inline uint64_t gf_salt(uint64_t salt) { return salt ^ ++gf_drawn * 0x9E3779B97F4A7C15u; }
#define VL_SCOPED_RAND_RESET_I(bits, scope, salt) VL_SCOPED_RAND_RESET_I(bits, scope, gf_salt(salt))
#define VL_SCOPED_RAND_RESET_Q(bits, scope, salt) VL_SCOPED_RAND_RESET_Q(bits, scope, gf_salt(salt))
#define VL_SCOPED_RAND_RESET_W(bits, words, scope, salt) VL_SCOPED_RAND_RESET_W(bits, words, scope, gf_salt(salt))

#endif
