// One requantiser: 4-bit pixel = clamp(((acc * scale + bias * 2^10) >> 26) + residual, 0, 15).
//
// The shift rounds down; the compiler puts the rounding offset into the bias and checks every accumulator value that
// can occur. Multiplier, adder and their registers are one DSP48. `pixel` comes four cycles after `acc`, `scale` and
// `bias`; `residual` belongs to the cycle before `pixel`.
`default_nettype none

module engine_requantiser
    import engine_pkg::*;
(
    input  wire                           clk,
    input  wire  signed [ACC_WIDTH-1:0]   acc,
    input  wire  signed [SCALE_WIDTH-1:0] scale,
    input  wire  signed [BIAS_WIDTH-1:0]  bias,
    input  wire  [3:0]                    residual,
    output logic [3:0]                    pixel
);
    localparam int unsigned SUM_WIDTH = 48;
    logic signed [ACC_WIDTH-1:0]             acc_q;
    logic signed [SCALE_WIDTH-1:0]           scale_q;
    logic signed [BIAS_WIDTH-1:0]            bias_q, bias_m;
    logic signed [ACC_WIDTH+SCALE_WIDTH-1:0] product;
    // The shift behind the sum cuts its fraction.
    // verilator lint_off UNUSEDSIGNAL
    logic signed [SUM_WIDTH-1:0]             sum;
    // verilator lint_on UNUSEDSIGNAL
    always_ff @(posedge clk) begin
        acc_q <= acc;
        scale_q <= scale;
        bias_q <= bias;
        product <= acc_q * scale_q;
        bias_m <= bias_q;
        sum <= SUM_WIDTH'(product) + (SUM_WIDTH'(bias_m) <<< BIAS_SHIFT);
    end

    // Values outside -16..15 are decided without the residual, which is at most 15.
    wire signed [SUM_WIDTH-REQUANT_SHIFT-1:0] level = sum[SUM_WIDTH-1:REQUANT_SHIFT];
    wire high = !level[SUM_WIDTH-REQUANT_SHIFT-1] && (|level[SUM_WIDTH-REQUANT_SHIFT-2:4]);
    wire low = level[SUM_WIDTH-REQUANT_SHIFT-1] && !(&level[SUM_WIDTH-REQUANT_SHIFT-2:4]);
    wire signed [5:0] added = 6'($signed({level[SUM_WIDTH-REQUANT_SHIFT-1], level[3:0]})) + $signed({2'b00, residual});
    always_ff @(posedge clk) begin
        if (low || (added[5] && !high)) pixel <= 4'd0;
        else if (high || added[4]) pixel <= 4'd15;
        else pixel <= added[3:0];
    end
endmodule

`default_nettype wire
