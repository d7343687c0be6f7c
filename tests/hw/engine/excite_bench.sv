// The vector unit with what makes factors of squeeze-and-excitation with it.
`default_nettype none

module excite_bench
    import engine_pkg::*;
    import gatefold_pkg::*;
#(
    parameter int unsigned V = 4, INNER = 4, FACTORS = 16, PRODUCTS = 4, DEPTH = 64, BIASES = 32, POOL_DEPTH = 4
) (
    input  wire                clk,
    input  wire                rst_n,
    input  wire  [$bits(engine_pkg::load_t)-1:0] load_bits,
    input  wire                start,
    input  wire  [8:0]         channels,
    input  wire  [8:0]         hidden,
    input  wire  [7:0]         entry,
    input  wire  [7:0]         up,
    output wire  [$clog2(POOL_DEPTH)-1:0] pool_addr,
    input  wire  [V-1:0][9:0]  pool_data,
    output wire                done,
    input  wire  [$clog2(FACTORS)-1:0] factor_addr,
    output wire  [SCALE_WIDTH-2:0] factor
);
    wire engine_pkg::load_t load = engine_pkg::load_t'(load_bits);
    descriptor_t layer;
    always_comb begin
        layer = '0;
        layer.kind = 2'd3;
        layer.in_count = channels;
        layer.out_count = hidden;
        layer.dst_base = entry;
        layer.src_base = up;
    end
    wire vector_start, from_state, logit_valid, excites;
    wire [8:0] inputs, outputs, word, logit_index;
    wire [16:0] weight_base;
    wire [14:0] bias_base;
    wire signed [31:0] logit;
    wire [V-1:0][15:0] state;
    engine_vector #(.V(V), .DEPTH(DEPTH), .POOL_DEPTH(POOL_DEPTH), .BIASES(BIASES), .POOL_WIDTH(10), .STATE(1)) vector (
        .clk, .rst_n, .load, .start(vector_start), .in_count(inputs), .out_count(outputs), .weight_base, .bias_base, .pool_base('0),
        .pool_addr, .pool_data, .from_state, .state, .word, .logit_valid, .logit_index, .logit, .best(), .done()
    );
    engine_excite #(.V(V), .INNER(INNER), .FACTORS(FACTORS), .PRODUCTS(PRODUCTS)) excitation (
        .clk, .rst_n, .load, .layer, .start, .vector_start, .in_count(inputs), .out_count(outputs), .weight_base, .bias_base,
        .from_state, .word, .state, .logit_valid, .logit_index, .logit, .excites, .done, .factor_addr, .factor
    );
endmodule

`default_nettype wire
