// The lanes as simulation runs them and as synthesis takes them, side by side.
`default_nettype none

module lanes_bench #(
    parameter int unsigned P = 6,
    parameter int unsigned PE = 2,
    parameter int unsigned MULT_DSP = 1,
    parameter int unsigned ACC_WIDTH = 18,
    parameter int unsigned PACK = 0,
    localparam int unsigned QUARTERS = (PACK != 0) ? 4 : 1
) (
    input  wire                    clk,
    input  wire  [P-1:0][35:0]     taps,
    input  wire  [QUARTERS-1:0][PE-1:0][35:0] kernel_early,
    input  wire                    valid,
    input  wire                    first,
    input  wire                    shift,
    output wire  [PE*P-1:0][ACC_WIDTH-1:0]  plain,
    output wire  [PE*P-1:0][ACC_WIDTH-1:0]  mapped
);
    engine_lanes #(.P(P), .PE(PE), .ACC_WIDTH(ACC_WIDTH), .PACK(PACK != 0), .MAPPED(0)) plain_lanes (
        .clk, .taps, .kernel_early, .control('{valid, first, shift}), .acc(plain));
    engine_lanes #(.P(P), .PE(PE), .ACC_WIDTH(ACC_WIDTH), .MULT_DSP(MULT_DSP), .PACK(PACK != 0), .MAPPED(1)) mapped_lanes (
        .clk, .taps, .kernel_early, .control('{valid, first, shift}), .acc(mapped));
endmodule

`default_nettype wire
