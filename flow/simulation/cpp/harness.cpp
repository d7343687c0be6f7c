// C ABI around one Verilated model, used through ctypes (flow/simulation/library.py).
//
// The generated header `ports.h` defines GF_PORTS(X) with one X(member, "name", output, width) per
// port of the top module. Values lie in the model as Verilator lays them out: little-endian, in 1, 2,
// 4 or 8 bytes, or in 32-bit words above 64 bits. Every function that evaluates the model returns a
// negative number after an RTL error ($error, $fatal, $stop); gf_error() tells it.
#include "Vtop.h"
#include "ports.h"
#include "simulation.h"

namespace {

struct PortInfo {
    const char* name;
    int output;
    int width;
};

#define X(member, name, output, width) {name, output, width},
const PortInfo port_table[] = {GF_PORTS(X)};
#undef X
constexpr int port_count = sizeof port_table / sizeof port_table[0];

struct Sim : Simulation<Vtop> {
    using Simulation::Simulation;
    std::vector<uint8_t*> address;
};

struct PortRef {
    uint8_t* address = nullptr;
    int bytes = 0;
    bool get() const { return address[0] & 1; }
    void set(bool value) const { address[0] = value; }
};

PortRef port_ref(Sim* sim, int index) {
    if (index < 0) return {};
    return {sim->address[index], (port_table[index].width + 7) / 8};
}

// 16 random bits of one stream in one cycle (the finaliser of SplitMix64).
uint32_t draw(uint64_t seed, int stream, int64_t cycle) {
    uint64_t x = seed * 0x9E3779B97F4A7C15 + (uint64_t)(stream + 1) * 0xD1B54A32D192ED03 + (uint64_t)cycle * 0x8CB92BA72F3D8DD7;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9;
    x = (x ^ x >> 27) * 0x94D049BB133111EB;
    return (x ^ x >> 31) >> 48;
}

// One clock cycle of 10 ns from low to low. `after_edge` changes inputs after the rising edge; a doubled
// clock rises with the clock and again in the middle, when the new inputs are already there.
template <typename AfterEdge>
void clock_cycle(Sim* sim, const PortRef& clk, const PortRef& clk2x, AfterEdge after_edge) {
    clk.set(true);
    if (!clk2x.address) {
        sim->eval();
        sim->context.timeInc(5000);
        after_edge();
        clk.set(false);
        sim->eval();
        sim->context.timeInc(5000);
        return;
    }
    clk2x.set(true);
    sim->eval();
    sim->context.timeInc(2500);
    after_edge();
    clk2x.set(false);
    sim->eval();
    sim->context.timeInc(2500);
    clk.set(false);
    clk2x.set(true);
    sim->eval();
    sim->context.timeInc(2500);
    clk2x.set(false);
    sim->eval();
    sim->context.timeInc(2500);
}

}  // namespace

extern "C" {

// Streams of one run. Beats are `bytes` wide, tightly packed, little-endian; `bytes` is the
// port's width rounded up to whole bytes.
struct GfInput {
    int32_t data, valid, ready;  // port indices
    uint32_t pause;              // chance of an idle cycle, in 1/65536
    const uint8_t* beats;
    int64_t count;
    int64_t done;     // out: beats accepted
    int64_t* cycles;  // out, may be null: the cycle in which each beat was accepted
};
struct GfOutput {
    int32_t data, valid, ready;
    uint32_t pause;  // chance of a cycle with ready low, in 1/65536
    uint8_t* beats;
    int64_t count;
    int64_t done;
    int64_t* cycles;
};

GF_PUBLIC int gf_port_count() { return port_count; }
GF_PUBLIC const char* gf_port_name(int index) { return port_table[index].name; }
GF_PUBLIC int gf_port_output(int index) { return port_table[index].output; }
GF_PUBLIC int gf_port_width(int index) { return port_table[index].width; }

// Build the model in the current directory, where relative $readmemh paths are looked up.
GF_PUBLIC Sim* gf_create(int random, int seed) {
    auto sim = std::make_unique<Sim>("TOP", random, seed);
#define X(member, name, output, width) sim->address.push_back(reinterpret_cast<uint8_t*>(&sim->top->member));
    GF_PORTS(X)
#undef X
    for (int i = 0; i < port_count; ++i) {
        if (!port_table[i].output) std::memset(sim->address[i], 0, (port_table[i].width + 7) / 8);
    }
    Sim* const raw = sim.release();
    raw->guarded([raw] { return raw->eval(), 0; });
    return raw;
}

GF_PUBLIC void gf_destroy(Sim* sim) { delete sim; }

GF_PUBLIC void* gf_port_address(Sim* sim, int index) { return sim->address[index]; }
GF_PUBLIC const char* gf_error(Sim* sim) { return sim->error.c_str(); }
GF_PUBLIC int gf_finished(Sim* sim) { return sim->finished; }
GF_PUBLIC int gf_trace(Sim* sim, const char* path) { return sim->trace(path); }
GF_PUBLIC void gf_trace_flush(Sim* sim) { sim->flush(); }

// Let the inputs written so far take effect, then advance time by `step` picoseconds.
GF_PUBLIC int64_t gf_run(Sim* sim, uint64_t step) {
    return sim->guarded([&] {
        sim->eval();
        sim->context.timeInc(step);
        return 0;
    });
}

GF_PUBLIC void gf_advance(Sim* sim, uint64_t step) { sim->context.timeInc(step); }

// Run `cycles` clock cycles of 10 ns with the other inputs as they are. The clock is left low.
GF_PUBLIC int64_t gf_cycles(Sim* sim, int clock, int clock2x, int64_t cycles) {
    return sim->guarded([&] {
        const PortRef clk = port_ref(sim, clock), clk2x = port_ref(sim, clock2x);
        sim->eval();
        for (int64_t i = 0; i < cycles; ++i) clock_cycle(sim, clk, clk2x, [] {});
        return cycles;
    });
}

// Reset as FINN's SimEngine does: both changes come after a rising edge, so that a doubled clock sees them in the
// middle of the cycle; one more cycle follows. `level` is the active one.
GF_PUBLIC int64_t gf_reset(Sim* sim, int clock, int clock2x, int reset, int level, int64_t cycles) {
    return sim->guarded([&] {
        const PortRef clk = port_ref(sim, clock), clk2x = port_ref(sim, clock2x), rst = port_ref(sim, reset);
        sim->eval();
        clock_cycle(sim, clk, clk2x, [&] { rst.set(level); });
        for (int64_t i = 1; i < cycles; ++i) clock_cycle(sim, clk, clk2x, [] {});
        clock_cycle(sim, clk, clk2x, [&] { rst.set(!level); });
        clock_cycle(sim, clk, clk2x, [] {});
        return cycles;
    });
}

// Drive all inputs and collect all outputs, cycle for cycle as FINN's SimEngine does: inputs change after a rising
// edge, so that the first cycle only offers; the last one only takes `valid` and `ready` back. Returns the cycles run,
// both included, -1 after `patience` cycles without any transfer, -2 after an RTL error. A valid beat stays until it
// is taken; pauses are a function of `seed`, stream and cycle (flow/simulation/pauses.py has the same one).
GF_PUBLIC int64_t gf_stream(Sim* sim, int clock, int clock2x, GfInput* inputs, int input_count, GfOutput* outputs,
                  int output_count, int64_t patience, uint64_t seed) {
    return sim->guarded([&]() -> int64_t {
        struct Side {
            PortRef data, valid, ready;
        };
        std::vector<Side> in_ports, out_ports;
        for (int i = 0; i < input_count; ++i) {
            in_ports.push_back({port_ref(sim, inputs[i].data), port_ref(sim, inputs[i].valid), port_ref(sim, inputs[i].ready)});
            inputs[i].done = 0;
            in_ports[i].valid.set(false);
        }
        for (int i = 0; i < output_count; ++i) {
            out_ports.push_back({port_ref(sim, outputs[i].data), port_ref(sim, outputs[i].valid), port_ref(sim, outputs[i].ready)});
            outputs[i].done = 0;
            out_ports[i].ready.set(false);
        }
        const PortRef clk = port_ref(sim, clock), clk2x = port_ref(sim, clock2x);
        int64_t cycle = 0;
        const auto paused = [&](uint32_t chance, int stream) { return chance && draw(seed, stream, cycle) < chance; };

        const auto drive = [&] {
            for (int i = 0; i < input_count; ++i) {
                GfInput& stream = inputs[i];
                if (in_ports[i].valid.get() || stream.done == stream.count || paused(stream.pause, i)) continue;
                in_ports[i].valid.set(true);
                std::memcpy(in_ports[i].data.address, stream.beats + stream.done * in_ports[i].data.bytes, in_ports[i].data.bytes);
            }
            for (int i = 0; i < output_count; ++i) {
                out_ports[i].ready.set(outputs[i].done < outputs[i].count && !paused(outputs[i].pause, input_count + i));
            }
        };
        const auto pending = [&] {
            for (int i = 0; i < input_count; ++i) {
                if (inputs[i].done < inputs[i].count) return true;
            }
            for (int i = 0; i < output_count; ++i) {
                if (outputs[i].done < outputs[i].count) return true;
            }
            return false;
        };

        sim->eval();
        int64_t quiet = 0;
        for (bool last = false; !last; ++cycle) {
            last = !pending();
            if (quiet++ > patience) return -1;
            uint64_t taken = 0;  // inputs accepted at the coming edge
            for (int i = 0; i < input_count; ++i) {
                if (!in_ports[i].valid.get() || !in_ports[i].ready.get()) continue;
                if (inputs[i].cycles) inputs[i].cycles[inputs[i].done] = cycle;
                ++inputs[i].done;
                taken |= 1ull << i;
                quiet = 0;
            }
            for (int i = 0; i < output_count; ++i) {
                GfOutput& stream = outputs[i];
                if (!out_ports[i].valid.get() || !out_ports[i].ready.get()) continue;
                std::memcpy(stream.beats + stream.done * out_ports[i].data.bytes, out_ports[i].data.address, out_ports[i].data.bytes);
                if (stream.cycles) stream.cycles[stream.done] = cycle;
                ++stream.done;
                quiet = 0;
            }
            clock_cycle(sim, clk, clk2x, [&] {
                for (int i = 0; i < input_count; ++i) {
                    if (!(taken >> i & 1)) continue;
                    in_ports[i].valid.set(false);
                    std::memset(in_ports[i].data.address, 0, in_ports[i].data.bytes);
                }
                drive();
            });
        }
        return cycle;
    });
}

}  // extern "C"
