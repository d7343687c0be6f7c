// One running model of Verilator: power-on, errors, waveform. Both C interfaces stand on it, that of any module
// (harness.cpp) and the accelerator's (hw/sim/accelerator_sim.cpp); a library includes it once.
#pragma once
#include "prefix.h"

#define GF_PUBLIC __attribute__((visibility("default")))

// Verilator calls the hooks below without saying for which model; they end the evaluation.
struct RtlError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

inline std::string gf_place(const char* file, int line) { return std::string(file ? file : "?") + ":" + std::to_string(line); }

template <typename Top>
class Simulation {
public:
    VerilatedContext context;
    std::unique_ptr<Top> top;
    std::string error;  // why the design cannot go on; empty while it can
    bool finished = false;

    // Registers and memories that nothing writes hold zeros or, where `random`, values by `seed`.
    Simulation(const char* name, bool random, int seed) {
        context.randReset(random ? 2 : 0);
        context.randSeed(seed + 1);  // to Verilator 0 is the time of day
        gf_drawn = 0;
#if VM_TRACE
        context.traceEverOn(true);
#endif
        top = std::make_unique<Top>(&context, name);
    }

    ~Simulation() {
        if (error.empty()) guarded([this] { return top->final(), 0; });
#if VM_TRACE
        if (trace_) trace_->close();
#endif
    }

    void eval() {
        top->eval();
#if VM_TRACE
        if (trace_) {
            // A waveform takes one value per picosecond.
            if (context.time() <= dumped_) context.timeInc(1 + dumped_ - context.time());
            dumped_ = context.time();
            trace_->dump(dumped_);
        }
#endif
        finished = finished || context.gotFinish();
    }

    // The body's answer, or -2 from the first error on; a design that has stopped stays so.
    template <typename Body>
    int64_t guarded(Body body) {
        if (!error.empty()) return -2;
        try {
            return body();
        } catch (const std::exception& problem) {
            error = problem.what();
            return -2;
        }
    }

    // A waveform of every signal from now on. 0: done; -1: compiled without traces; -3: the file cannot be written.
    int trace(const char* path) {
#if VM_TRACE
        if (trace_) trace_->close();
        trace_ = std::make_unique<VerilatedFstC>();
        top->trace(trace_.get(), 99);
        trace_->open(path);
        return trace_->isOpen() ? 0 : -3;
#else
        (void)path;
        return -1;
#endif
    }

    void flush() {
#if VM_TRACE
        if (trace_) trace_->flush();
#endif
    }

private:
#if VM_TRACE
    std::unique_ptr<VerilatedFstC> trace_;
    uint64_t dumped_ = 0;
#endif
};

void vl_finish(const char*, int, const char*) { Verilated::threadContextp()->gotFinish(true); }

void vl_fatal(const char* file, int line, const char*, const char* message) {
    throw RtlError(gf_place(file, line) + ": " + (message ? message : ""));
}

void vl_stop(const char* file, int line, const char*) {
    throw RtlError(gf_take_error(gf_place(file, line) + ": the RTL stopped with $stop"));
}

// A memory image that is missing would leave zeros that nobody wrote.
void vl_warn(const char* file, int line, const char*, const char* message) {
    if (std::strstr(message, "readmem file not found"))
        throw RtlError("the memory image " + std::string(file ? file : "?") + " does not exist");
    std::fprintf(stderr, "%s: %s\n", gf_place(file, line).c_str(), message);
}
