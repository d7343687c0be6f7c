// One requantiser: 4-bit pixel = clamp(((acc * scale + bias * 2^10) >> 26) + residual, 0, 15), or with TABLES the level
// clamp((acc * scale + bias * 2^10) >> 26, 0, high) for the tables behind it.
//
// The shift rounds down; the compiler puts the rounding offset into the bias and checks every accumulator value that
// can occur. Multiplier, adder and their registers are one DSP48, two where accumulators have more than 18 bits, and none
// where REQUANT_DSP is 0: there the product is the sum of four, in a cycle of its own. An engine of more than 18 bits
// has a finer step for the layers that need it: there the shift is 34 and the bias comes times 2^8.
// `pixel` and `level` come five cycles after `acc`, `scale` and `bias`; `residual` and `on_map` belong to the cycle before.
`default_nettype none

module engine_requantiser
    import engine_pkg::*;
#(
    parameter int unsigned ACC_WIDTH = 18,
    parameter bit          TABLES    = 0,
    parameter bit          REQUANT_DSP = 1,
    localparam bit         FINE      = ACC_WIDTH > 18,
    localparam int unsigned OFFSET_WIDTH = BIAS_WIDTH + (FINE ? FINE_BITS : 0)
) (
    input  wire                            clk,
    input  wire  signed [ACC_WIDTH-1:0]    acc,
    input  wire  signed [SCALE_WIDTH-1:0]  scale,
    input  wire  signed [OFFSET_WIDTH-1:0] bias,
    // Some shapes look at some of these.
    // verilator lint_off UNUSEDSIGNAL
    input  wire                            fine,      /// of the layer, with more than 18 bits
    input  wire  [4:0]                     high,      /// largest level of the layer, with TABLES
    input  wire  [3:0]                     residual,  /// without TABLES, as is
    input  wire                            on_map,    /// of the map's valid pixels; the others are zero
    // verilator lint_on UNUSEDSIGNAL
    output logic [3:0]                     pixel,     /// without TABLES
    output logic [4:0]                     level      /// with TABLES
);
    localparam int unsigned SUM_WIDTH = 48, LEVEL_WIDTH = SUM_WIDTH - REQUANT_SHIFT - 1;  // without the sign
    logic signed [ACC_WIDTH-1:0]             acc_q;
    logic signed [SCALE_WIDTH-1:0]           scale_q;
    logic signed [OFFSET_WIDTH-1:0]          bias_q, bias_p, bias_m;
    logic signed [ACC_WIDTH+SCALE_WIDTH-1:0] product;
    // The shift behind the sum cuts its fraction.
    // verilator lint_off UNUSEDSIGNAL
    logic signed [SUM_WIDTH-1:0]             sum;
    // verilator lint_on UNUSEDSIGNAL
    always_ff @(posedge clk) begin
        acc_q <= acc;
        scale_q <= scale;
        bias_q <= bias;
        bias_p <= bias_q;
        bias_m <= bias_p;
        sum <= SUM_WIDTH'(product) + (SUM_WIDTH'(bias_m) <<< BIAS_SHIFT);
    end

    if (REQUANT_DSP) begin : dsp
        logic signed [ACC_WIDTH-1:0]   acc_p;  // the second of the two registers before a DSP48's multiplier
        logic signed [SCALE_WIDTH-1:0] scale_p;
        always_ff @(posedge clk) begin
            acc_p <= acc_q;
            scale_p <= scale_q;
            product <= acc_p * scale_p;
        end
    end else begin : luts
        localparam int unsigned PARTS = 4, BITS = SCALE_WIDTH / PARTS, TOP = SCALE_WIDTH - (PARTS - 1) * BITS;
        logic signed [PARTS-2:0][ACC_WIDTH+BITS:0] part;
        logic signed [ACC_WIDTH+TOP-1:0]           top;
        logic signed [ACC_WIDTH+SCALE_WIDTH-1:0]   lower, upper;
        always_comb begin
            lower = (ACC_WIDTH+SCALE_WIDTH)'($signed(part[0])) + ((ACC_WIDTH+SCALE_WIDTH)'($signed(part[1])) <<< BITS);
            upper = ((ACC_WIDTH+SCALE_WIDTH)'($signed(part[2])) <<< (2 * BITS)) + ((ACC_WIDTH+SCALE_WIDTH)'(top) <<< (3 * BITS));
        end
        always_ff @(posedge clk) begin
            for (int unsigned i = 0; i < PARTS - 1; i++) part[i] <= acc_q * $signed({1'b0, scale_q[BITS*i+:BITS]});
            top <= acc_q * $signed(scale_q[SCALE_WIDTH-1-:TOP]);
            product <= lower + upper;
        end
    end

    wire negative = sum[SUM_WIDTH-1];
    if (TABLES) begin : clamped
        // Five bits of the shifted sum, and whether there is more above them.
        wire       above_fine = |sum[SUM_WIDTH-2:REQUANT_SHIFT+FINE_BITS+5];
        wire       above = above_fine || (!(FINE && fine) && (|sum[REQUANT_SHIFT+FINE_BITS+4:REQUANT_SHIFT+5]));
        wire [4:0] bits = (FINE && fine) ? sum[REQUANT_SHIFT+FINE_BITS+:5] : sum[REQUANT_SHIFT+:5];
        always_ff @(posedge clk)
            if (negative) level <= '0;
            else if (above || bits > high) level <= high;
            else level <= bits;
        assign pixel = '0;
    end else begin : added
        // Values outside -16..15 are decided without the residual, which is at most 15.
        wire [LEVEL_WIDTH-1:0] whole = (FINE && fine) ? {{FINE_BITS{negative}}, sum[SUM_WIDTH-2:REQUANT_SHIFT+FINE_BITS]}
                                                      : sum[SUM_WIDTH-2:REQUANT_SHIFT];
        wire over = !negative && (|whole[LEVEL_WIDTH-1:4]);
        wire low = negative && !(&whole[LEVEL_WIDTH-1:4]);
        wire signed [5:0] with_residual = 6'($signed({negative, whole[3:0]})) + $signed({2'b00, residual});
        always_ff @(posedge clk) begin
            if (!on_map || low || (with_residual[5] && !over)) pixel <= 4'd0;
            else if (over || with_residual[4]) pixel <= 4'd15;
            else pixel <= with_residual[3:0];
        end
        assign level = '0;
    end
endmodule

`default_nettype wire
