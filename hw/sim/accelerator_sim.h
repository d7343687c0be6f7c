// C interface of the simulated accelerator: `gatefold_top`, Verilated, with a memory on its AXI master.
//
// One handle is one accelerator after power-up. Its clock advances only inside gf_write, gf_read and gf_run.
// Nothing here is thread-safe; different handles are independent.
//
// The memory behaves like an HP port of the Zynq: reads are answered in the order of their addresses, GF_LATENCY
// cycles after the address unless set otherwise, one beat per cycle; writes are answered once all their data have
// come; eight bursts of each kind may be under way. An address outside every region answers DECERR.
//
// The design's contracts (hw/checks) are watched, those of both buses among them; a breach stops the design for good.
#ifndef GATEFOLD_ACCELERATOR_SIM_H
#define GATEFOLD_ACCELERATOR_SIM_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Version of this interface.
#define GF_ABI 4
/// Cycles from a read address to its first beat, and from the last write beat to its response.
#define GF_LATENCY 24

typedef struct gf_accelerator gf_accelerator;

/// GF_ABI of this library.
int gf_abi(void);

/// Rows and columns, and planes, of the images that the engine was generated for.
int gf_image_size(void);
int gf_image_planes(void);

/// A new accelerator, out of reset. Registers and memories power up as zeros, or with a `seed` other than 0 as random
/// values. Returns NULL on failure; gf_failure says why.
gf_accelerator *gf_create(int seed);

/// Why the last gf_create of this thread failed, or the design stopped (-3 below).
const char *gf_failure(void);

/// Ends the accelerator; closes its trace.
void gf_destroy(gf_accelerator *self);

/// Writes or reads a register by its byte offset, through the AXI4-Lite port. 0: done; -1: no answer in 100,000
/// cycles; -2: answered with an error; -3: the design has stopped, gf_failure says why.
int gf_write(gf_accelerator *self, uint32_t offset, uint32_t value);
int gf_read(gf_accelerator *self, uint32_t offset, uint32_t *value);

/// Makes `size` bytes at `host` the memory from address `base` on; the caller keeps them alive. A region that
/// begins at the same address is replaced; `host` NULL removes it. Base and size are multiples of 8.
/// 0: done; -1: not aligned, or it overlaps another region.
int gf_set_memory(gf_accelerator *self, void *host, uint64_t base, uint64_t size);

/// Advances the clock until the accelerator rests (no batch under way, none just started), or for `max_cycles`.
/// Returns the cycles that have passed. It looks at the interrupt when that is enabled, and at the status register
/// (every 128 cycles; every 2048 beside the interrupt), as a driver would. A design that stops is told by the next gf_read.
uint64_t gf_run(gf_accelerator *self, uint64_t max_cycles);

/// Clock cycles since power-up.
uint64_t gf_cycles(const gf_accelerator *self);

/// State of the interrupt line.
int gf_interrupt(const gf_accelerator *self);

/// From now on every AXI channel, in each cycle and on its own, waits with probability percent/100 (0 to 95)
/// before it offers or takes a transfer. Equal seeds give equal runs.
void gf_set_stall(gf_accelerator *self, uint64_t seed, int percent);

/// Read latency and write response latency, in cycles.
void gf_set_latency(gf_accelerator *self, int cycles);

/// flag 1: the memory takes and answers nothing more; 0: it goes on where it stopped.
void gf_hang(gf_accelerator *self, int flag);

/// Writes an FST waveform from now on. 0: done; -1: the library was built without traces.
int gf_trace(gf_accelerator *self, const char *path);

#ifdef __cplusplus
}
#endif
#endif
