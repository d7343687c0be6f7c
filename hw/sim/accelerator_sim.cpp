// The simulated accelerator; accelerator_sim.h says what each function promises.

#include "accelerator_sim.h"

#include <deque>

#include "Vgatefold_top.h"
#include "simulation.h"

// Registers, bits and words of hw/interface.json that this file looks at.
#include "interface.h"

namespace {

thread_local std::string failure;

constexpr unsigned BEAT_BYTES = 8;
constexpr unsigned ACCEPTED = 8;       // bursts under way, of each kind
constexpr unsigned WRITE_BUFFER = 64;  // beats taken before their burst is complete
constexpr unsigned PATIENCE = 100000;  // cycles that a register access may take
constexpr uint64_t HALF_PERIOD = 5000;  // picoseconds: 100 MHz

struct Region {
    uint8_t *host;
    uint64_t base;
    uint64_t size;
};

struct Burst {
    uint32_t address;
    unsigned beats;
    uint64_t due;  // cycle from which it may be answered
};

struct WriteBeat {
    uint64_t data;
    uint8_t strobe;
};

}  // namespace

struct gf_accelerator : Simulation<Vgatefold_top> {
    uint64_t cycles = 0;
    bool hang = false;

    explicit gf_accelerator(int seed) : Simulation("accelerator", seed != 0, seed) {
        guarded([this] {
            top->ap_rst_n = 0;
            for (int i = 0; i < 16; ++i) cycle();
            top->ap_rst_n = 1;
            cycle();
            return 0;
        });
        if (!error.empty()) throw RtlError(error);
    }

    void cycle() {
        top->ap_clk = 0;
        eval();
        context.timeInc(HALF_PERIOD);
        // What both sides see before the edge.
        const Vgatefold_top &t = *top;
        const bool ar = t.m_axi_arvalid && t.m_axi_arready;
        const bool r = t.m_axi_rvalid && t.m_axi_rready;
        const bool aw = t.m_axi_awvalid && t.m_axi_awready;
        const bool w = t.m_axi_wvalid && t.m_axi_wready;
        const bool b = t.m_axi_bvalid && t.m_axi_bready;
        const uint32_t araddr = t.m_axi_araddr, awaddr = t.m_axi_awaddr;
        const unsigned arlen = t.m_axi_arlen, awlen = t.m_axi_awlen;
        const WriteBeat beat{t.m_axi_wdata, static_cast<uint8_t>(t.m_axi_wstrb)};
        const bool running = t.ap_rst_n;
        host_taken();
        top->ap_clk = 1;
        eval();
        context.timeInc(HALF_PERIOD);
        ++cycles;
        if (!running) {
            quiet();
            return;
        }
        if (ar) reads_.push_back(Burst{araddr, arlen + 1, cycles + latency});
        if (aw) writes_.push_back(Burst{awaddr, awlen + 1, 0});
        if (w) data_.push_back(beat);
        read_channel(r);
        write_channel(b);
        // A hung memory still shows what it offered before: an offer must not be withdrawn.
        top->m_axi_arready = !hang && reads_.size() < ACCEPTED && go();
        top->m_axi_awready = !hang && writes_.size() < ACCEPTED && go();
        top->m_axi_wready = !hang && data_.size() < WRITE_BUFFER && go();
        host_offer();
    }

    // --- the host's register accesses -------------------------------------------------------------------------

    int host_write(uint32_t offset, uint32_t value) {
        top->s_axi_control_awaddr = offset;
        top->s_axi_control_wdata = value;
        top->s_axi_control_wstrb = 15;
        address_waits_ = data_waits_ = answer_waits_ = true;
        writing_ = true;
        return host_access();
    }

    int host_read(uint32_t offset, uint32_t *value) {
        top->s_axi_control_araddr = offset;
        address_waits_ = answer_waits_ = true;
        data_waits_ = false;
        writing_ = false;
        const int result = host_access();
        *value = answer_;
        return result;
    }

    // --- settings ---------------------------------------------------------------------------------------------

    std::vector<Region> regions;
    uint64_t random = 1;
    uint64_t stall = 0;  // of 2^32
    int latency = GF_LATENCY;

private:
    std::deque<Burst> reads_, writes_;
    std::deque<WriteBeat> data_;
    std::deque<Burst> answers_;  // address: response code
    unsigned read_beat_ = 0;

    bool address_waits_ = false, data_waits_ = false, answer_waits_ = false, writing_ = false;
    uint32_t answer_ = 0;
    int answer_code_ = 0;

    bool go() {
        if (!stall) return true;
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        return (random >> 32) >= stall;
    }

    void quiet() {
        top->m_axi_arready = top->m_axi_awready = top->m_axi_wready = 0;
        top->m_axi_rvalid = top->m_axi_bvalid = 0;
        top->s_axi_control_awvalid = top->s_axi_control_wvalid = top->s_axi_control_arvalid = 0;
        top->s_axi_control_bready = top->s_axi_control_rready = 0;
    }

    uint8_t *find(uint32_t address) {
        for (const Region &region : regions)
            if (address >= region.base && address + BEAT_BYTES <= region.base + region.size)
                return region.host + (address - region.base);
        return nullptr;
    }

    void read_channel(bool taken) {
        if (taken) {
            top->m_axi_rvalid = 0;
            if (++read_beat_ == reads_.front().beats) {
                reads_.pop_front();
                read_beat_ = 0;
            }
        }
        if (top->m_axi_rvalid || reads_.empty() || hang || cycles < reads_.front().due || !go()) return;
        const uint8_t *source = find(reads_.front().address + read_beat_ * BEAT_BYTES);
        uint64_t data = 0;
        if (source) std::memcpy(&data, source, BEAT_BYTES);
        top->m_axi_rdata = data;
        top->m_axi_rresp = source ? 0 : 3;
        top->m_axi_rlast = read_beat_ + 1 == reads_.front().beats;
        top->m_axi_rvalid = 1;
    }

    void write_channel(bool taken) {
        if (!writes_.empty() && !hang && data_.size() >= writes_.front().beats) {
            const Burst burst = writes_.front();
            writes_.pop_front();
            bool known = true;
            for (unsigned i = 0; i < burst.beats; ++i) {
                const WriteBeat beat = data_.front();
                data_.pop_front();
                uint8_t *target = find(burst.address + i * BEAT_BYTES);
                if (!target) known = false;
                for (unsigned k = 0; target && k < BEAT_BYTES; ++k)
                    if (beat.strobe >> k & 1) target[k] = static_cast<uint8_t>(beat.data >> 8 * k);
            }
            answers_.push_back(Burst{known ? 0u : 3u, 0, cycles + latency});
        }
        if (taken) {
            top->m_axi_bvalid = 0;
            answers_.pop_front();
        }
        if (top->m_axi_bvalid || answers_.empty() || hang || cycles < answers_.front().due || !go()) return;
        top->m_axi_bresp = answers_.front().address;
        top->m_axi_bvalid = 1;
    }

    int host_access() {
        for (unsigned i = 0; i < PATIENCE; ++i) {
            cycle();
            if (!answer_waits_) return answer_code_ ? -2 : 0;
        }
        return -1;
    }

    // Before an edge: which transfers of the host are done.
    void host_taken() {
        if (!answer_waits_) return;
        if (writing_) {
            if (top->s_axi_control_awvalid && top->s_axi_control_awready) address_waits_ = false;
            if (top->s_axi_control_wvalid && top->s_axi_control_wready) data_waits_ = false;
            if (top->s_axi_control_bvalid && top->s_axi_control_bready) {
                answer_code_ = top->s_axi_control_bresp;
                answer_waits_ = false;
            }
        } else {
            if (top->s_axi_control_arvalid && top->s_axi_control_arready) address_waits_ = false;
            if (top->s_axi_control_rvalid && top->s_axi_control_rready) {
                answer_code_ = top->s_axi_control_rresp;
                answer_ = top->s_axi_control_rdata;
                answer_waits_ = false;
            }
        }
    }

    // After an edge: what the host offers; an offer stays until it is taken.
    void host_offer() {
        const auto offer = [this](CData &valid, bool waits) { valid = waits && (valid || go()); };
        offer(top->s_axi_control_awvalid, writing_ && address_waits_);
        offer(top->s_axi_control_wvalid, writing_ && data_waits_);
        offer(top->s_axi_control_arvalid, !writing_ && address_waits_);
        top->s_axi_control_bready = writing_ && answer_waits_ && go();
        top->s_axi_control_rready = !writing_ && answer_waits_ && go();
    }
};

template <typename Access>
static int guarded(gf_accelerator *self, Access access) {
    int result = -3;
    self->guarded([&] { return result = access(); });
    failure = self->error;
    return result;
}

extern "C" {

GF_PUBLIC int gf_abi(void) { return GF_ABI; }

GF_PUBLIC int gf_image_size(void) { return IMAGE_SIZE; }

GF_PUBLIC int gf_image_planes(void) { return PLANES; }

GF_PUBLIC gf_accelerator *gf_create(int seed) {
    try {
        return new gf_accelerator(seed);
    } catch (const std::exception &problem) {
        failure = problem.what();
        return nullptr;
    }
}

GF_PUBLIC const char *gf_failure(void) { return failure.c_str(); }

GF_PUBLIC void gf_destroy(gf_accelerator *self) { delete self; }

GF_PUBLIC int gf_write(gf_accelerator *self, uint32_t offset, uint32_t value) {
    return guarded(self, [&] { return self->host_write(offset, value); });
}

GF_PUBLIC int gf_read(gf_accelerator *self, uint32_t offset, uint32_t *value) {
    return guarded(self, [&] { return self->host_read(offset, value); });
}

GF_PUBLIC int gf_set_memory(gf_accelerator *self, void *host, uint64_t base, uint64_t size) {
    if (base % BEAT_BYTES || size % BEAT_BYTES) return -1;
    std::vector<Region> others;
    for (const Region &region : self->regions) {
        if (region.base == base) continue;
        if (host && base < region.base + region.size && region.base < base + size) return -1;
        others.push_back(region);
    }
    if (host) others.push_back(Region{static_cast<uint8_t *>(host), base, size});
    self->regions = others;
    return 0;
}

GF_PUBLIC uint64_t gf_run(gf_accelerator *self, uint64_t max_cycles) {
    const uint64_t begin = self->cycles;
    guarded(self, [&] {
        uint32_t control = 0, status = 1;
        if (self->host_read(REG_CONTROL, &control)) return 0;
        const bool enabled = control & CONTROL_INTERRUPT;
        while (self->cycles - begin < max_cycles) {
            if (enabled && self->top->irq) break;
            if (self->host_read(REG_STATUS, &status) || !(status & STATUS_BUSY)) break;
            const uint64_t next = std::min(self->cycles + (enabled ? 2048 : 128), begin + max_cycles);
            while (self->cycles < next && !(enabled && self->top->irq)) self->cycle();
        }
        return 0;
    });
    return self->cycles - begin;
}

GF_PUBLIC uint64_t gf_cycles(const gf_accelerator *self) { return self->cycles; }

GF_PUBLIC int gf_interrupt(const gf_accelerator *self) { return self->top->irq; }

GF_PUBLIC void gf_set_stall(gf_accelerator *self, uint64_t seed, int percent) {
    self->random = (seed * 2 + 1) * 0x9E3779B97F4A7C15u;
    self->stall = (uint64_t{1} << 32) * static_cast<uint64_t>(percent < 0 ? 0 : percent > 95 ? 95 : percent) / 100;
}

GF_PUBLIC void gf_set_latency(gf_accelerator *self, int cycles) { self->latency = cycles < 1 ? 1 : cycles; }

GF_PUBLIC void gf_hang(gf_accelerator *self, int flag) { self->hang = flag; }

GF_PUBLIC int gf_trace(gf_accelerator *self, const char *path) { return self->trace(path); }

}  // extern "C"
