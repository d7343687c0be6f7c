// What a gate decides by one of its sums: whether it reaches the threshold, or what the host says.
`default_nettype none

module engine_decide
    import engine_pkg::*;
#(
    parameter int unsigned DECISIONS = 64,
    localparam int unsigned WORDS = (DECISIONS + 31) / 32,
    localparam int unsigned AW = (WORDS == 1) ? 1 : $clog2(WORDS)
) (
    input  wire                clk,
    input  wire                rst_n,
    // The word that is written is one of WORDS.
    // verilator lint_off UNUSEDSIGNAL
    input  wire gate_host_t    host,
    // verilator lint_on UNUSEDSIGNAL
    input  wire                layer_gate,
    input  wire                valid,
    input  wire  [8:0]         index,     /// of the sum, in its gate
    input  wire  [14:0]        first,     /// number of the gate's first decision
    input  wire  signed [31:0] sum,
    output logic               decided,   /// a cycle later
    output logic [8:0]         decided_index,
    output logic [14:0]        number,
    output logic               decision
);
    (* ram_style = "distributed" *) logic [31:0] forced[1 << AW];
    always_ff @(posedge clk) if (host.forced_write && 32'(host.forced_word) < WORDS) forced[host.forced_word[AW-1:0]] <= host.forced_bits;

    wire [14:0] which = first + 15'(index);
    wire [31:0] word = forced[AW'(which >> 5)];
    always_ff @(posedge clk) begin
        decided <= rst_n && valid;
        decided_index <= index;
        number <= which;
        decision <= host.forced ? word[which[4:0]] : sum >= (layer_gate ? host.layer_threshold : host.channel_threshold);
    end
endmodule

`default_nettype wire
