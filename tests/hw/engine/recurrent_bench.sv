// The vector unit with what makes steps of an LSTM of it.
`default_nettype none

module recurrent_bench
    import gatefold_pkg::*;
#(
    parameter int unsigned V = 4, HIDDEN = 5, PRODUCTS = 4, DEPTH = 64, BIASES = 32, POOL_DEPTH = 2
) (
    input  wire                clk,
    input  wire                rst_n,
    input  wire  [$bits(engine_pkg::load_t)-1:0] load_bits,
    input  wire                finish,
    input  wire                start,
    input  wire  [8:0]         in_count,
    input  wire  [7:0]         entry,
    input  wire  [14:0]        decision,
    output wire  [$clog2(POOL_DEPTH)-1:0] pool_addr,
    input  wire  [V-1:0][9:0]  pool_data,
    output wire                score_valid,
    output wire  signed [31:0] score,
    output wire                done
);
    wire engine_pkg::load_t load = engine_pkg::load_t'(load_bits);
    descriptor_t layer;
    always_comb begin
        layer = '0;
        layer.kind = 2'd2;
        layer.recurrent = 1'b1;
        layer.in_count = in_count;
        layer.out_count = 9'(HIDDEN);
        layer.dst_base = entry;
        layer.requant_base = decision;
    end
    wire vector_start, from_state, logit_valid, decides, vector_done;
    wire [8:0] inputs, outputs, word, logit_index;
    wire [16:0] weight_base;
    wire [14:0] bias_base;
    wire [V-1:0][15:0] state;
    engine_vector #(.V(V), .DEPTH(DEPTH), .POOL_DEPTH(POOL_DEPTH), .BIASES(BIASES), .POOL_WIDTH(10), .STATE(1)) vector (
        .clk, .rst_n, .load, .start(vector_start), .in_count(inputs), .out_count(outputs), .weight_base, .bias_base, .pool_base('0),
        .pool_addr, .pool_data, .from_state, .state, .word, .logit_valid, .logit_index, .logit(score), .best(), .done(vector_done)
    );
    engine_recurrent #(.V(V), .HIDDEN(HIDDEN), .PRODUCTS(PRODUCTS)) steps (
        .clk, .rst_n, .load, .finish, .layer, .start, .vector_start, .in_count(inputs), .out_count(outputs), .weight_base, .bias_base,
        .from_state, .word, .state, .logit_valid, .logit_index, .logit(score), .vector_done, .decides
    );
    assign score_valid = logit_valid && decides;
    assign done = vector_done && decides;
endmodule

`default_nettype wire
