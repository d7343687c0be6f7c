// Finished accumulators on their way to the requantisers, R at a time.
//
// When the last tile of a tuple has been added, the first R accumulators go straight to the requantisers and the
// others into a shift register that follows in the next cycles, while the lanes already accumulate the next tuple.
// The sequencer keeps tuples at least as far apart as this takes. Layers with small accumulators and large scales set
// `prescale`: their accumulators are taken times 16, which keeps the scale within its 25 bits.
//
// Of packed tuples the accumulators of each output of a pair stay for four words, one for every quarter of the lanes.
`default_nettype none

module engine_drain
    import engine_pkg::*;
#(
    parameter int unsigned P  = 64,
    parameter int unsigned PE = 2,
    parameter int unsigned ACC_WIDTH = 18,
    parameter int unsigned R  = 64,  /// requantisers; divides P
    parameter bit          PACK = 0  /// with packed tuples; needs R = P and PE = 2
) (
    // Without a queue (PE = 1, R = P) the word passes at once.
    // verilator lint_off UNUSEDSIGNAL
    input  wire                               clk,
    input  wire                               load,  /// the accumulators are complete in this cycle
    input  wire                               first_stays, /// of a packed tuple: a word of its first output that is not the first word
    // verilator lint_on UNUSEDSIGNAL
    input  wire                               prescale,
    input  wire  [PE*P-1:0][ACC_WIDTH-1:0]    acc,   /// output 0's lanes first
    output logic [R-1:0][ACC_WIDTH-1:0]       word
);
    localparam int unsigned WORDS = PE * P / R;
    wire [R-1:0][ACC_WIDTH-1:0] head;
    always_comb for (int unsigned r = 0; r < R; r++) word[r] = prescale ? head[r] << 4 : head[r];
    if (WORDS == 1) begin : direct
        assign head = acc;
    end else begin : queued
        logic [WORDS-1:1][R-1:0][ACC_WIDTH-1:0] waiting;
        if (PACK) begin : stays
            logic [R-1:0][ACC_WIDTH-1:0] kept;
            always_ff @(posedge clk) if (load) kept <= acc[R-1:0];
            assign head = load ? acc[R-1:0] : first_stays ? kept : waiting[1];
        end else begin : passes
            assign head = load ? acc[R-1:0] : waiting[1];
        end
        always_ff @(posedge clk)
            for (int unsigned w = 1; w < WORDS; w++) begin
                if (load) waiting[w] <= acc[w*R+:R];
                else if (w + 1 < WORDS) waiting[w] <= waiting[(w+1)%WORDS];
            end
    end
    if (PACK && WORDS != 2) begin : bad_pack
        $error("engine_drain: PACK needs two words");
    end
    if (P % R != 0) begin : bad_r
        $error("engine_drain: R must divide P");
    end
endmodule

`default_nettype wire
