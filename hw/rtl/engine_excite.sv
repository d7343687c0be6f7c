// Squeeze-and-excitation: two products of the vector unit one after the other, without going back to the sequencer.
//
// Of a map's sums hidden units, rescaled to codes of four bits, and of these a factor for each channel, the sigmoid of the rescaled sum. The
// convolution behind takes them for its scales: factor * 2^(22 - shift), where its accumulators count 16 times (flow/graph/excite.py).
`default_nettype none

module engine_excite
    import engine_pkg::*;
    import gatefold_pkg::*;
#(
    parameter int unsigned V        = 16,
    parameter int unsigned INNER    = 4,   /// hidden units at most
    parameter int unsigned FACTORS  = 16,  /// at most, a power of two
    parameter int unsigned PRODUCTS = 2,   /// entries of the constants' table
    localparam int unsigned WORDS = (INNER + V - 1) / V,
    localparam int unsigned AW = (WORDS == 1) ? 1 : $clog2(WORDS), LV = $clog2(V), FW = $clog2(FACTORS)
) (
    input  wire                 clk,
    input  wire                 rst_n,
    // A descriptor's fields have several users, and so has what is loaded.
    // verilator lint_off UNUSEDSIGNAL
    input  wire load_t          load,
    input  descriptor_t         layer,
    // verilator lint_on UNUSEDSIGNAL
    input  wire                 start,        /// of any layer of the vector unit
    // vector unit
    output wire                 vector_start,
    output wire  [8:0]          in_count,
    output wire  [8:0]          out_count,
    output wire  [16:0]         weight_base,
    output logic [14:0]         bias_base,
    output wire                 from_state,
    // As wide as inputs are counted.
    // verilator lint_off UNUSEDSIGNAL
    input  wire  [8:0]          word,
    // verilator lint_on UNUSEDSIGNAL
    output logic [V-1:0][15:0]  state,        /// one cycle after word
    input  wire                 logit_valid,
    input  wire  [8:0]          logit_index,
    input  wire  signed [31:0]  logit,
    output wire                 excites,      /// what the vector unit makes is for this unit
    output logic                done,
    // factors
    input  wire  [FW-1:0]       factor_addr,
    output logic [SCALE_WIDTH-2:0] factor     /// one cycle after factor_addr
);
    logic expand, next;  // the second product; it begins
    products_t now;
    engine_products #(.PRODUCTS(PRODUCTS)) constants (.clk, .load, .entry(layer.dst_base + 8'(expand)), .now);
    logic [14:0] multiplier;
    logic [5:0]  shift;

    wire value_valid;
    wire [8:0] value_index;
    wire signed [15:0] value;
    logic [8:0] last_index;  // stands long before the first value of a product
    wire last = value_valid && value_index == last_index;

    assign excites = layer.kind == KIND_EXCITE;
    assign vector_start = start || next;
    assign weight_base = excites ? now.weight_base : layer.weight_base;
    assign from_state = expand;
    assign in_count = expand ? layer.out_count : layer.in_count;
    assign out_count = expand ? layer.in_count : layer.out_count;
    always_ff @(posedge clk) begin
        bias_base <= excites ? now.bias_base : layer.requant_base;
        multiplier <= now.multiplier;
        shift <= now.shift;
        last_index <= out_count - 9'd1;
        next <= rst_n && last && !expand;
        done <= rst_n && last && expand;
        if (!rst_n) expand <= 1'b0;
        else if (last) expand <= !expand;
    end

    engine_rescale rescale (
        .clk, .rst_n, .valid(logit_valid && excites), .index(logit_index), .sum(logit), .multiplier, .shift,
        .value_valid, .value_index, .value
    );

    wire [3:0] code = value[15] ? 4'd0 : (|value[14:4]) ? 4'd15 : value[3:0];
    for (genvar v = 0; v < V; v++) begin : element
        (* ram_style = "distributed" *) logic [3:0] mem[1 << AW];
        always_ff @(posedge clk) begin
            if (value_valid && !expand && value_index[LV-1:0] == LV'(v)) mem[AW'(value_index >> LV)] <= code;
            state[v] <= 16'(mem[AW'(word)]);
        end
    end

    (* ram_style = "distributed" *) logic [SCALE_WIDTH-2:0] factors[FACTORS];
    wire  [8:0]    made;
    engine_sigmoid sigmoid (.clk, .x(17'(value)), .made);
    logic          value_made, made_valid;
    logic [FW-1:0] value_at, made_at;
    always_ff @(posedge clk) begin
        value_at <= FW'(value_index);
        made_at <= value_at;
        value_made <= rst_n && value_valid && expand;
        made_valid <= rst_n && value_made;
        if (made_valid) factors[made_at] <= (SCALE_WIDTH - 1)'(made) << layer.src_base[3:0];
        factor <= factors[factor_addr];
    end
endmodule

`default_nettype wire
