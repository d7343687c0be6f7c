// The tile engine with a count of the cycles that each layer of the last frame took.
`default_nettype none

module engine_bench
    import gatefold_pkg::*;
#(
    parameter int unsigned P = 64, PE = 2, R = 64, V = 16, X_DEPTH = 64, M_DEPTH = 64, IMAGE_BASE = 32,
    parameter int unsigned WEIGHT_DEPTH = 4096, REQUANT_DEPTH = 512, FC_DEPTH = 64, MODES = 5,
    parameter int unsigned LAYERS = 16, CLASSES = 10, MULT_DSP = 0, POOL_DEPTH = 4, BIASES = CLASSES,
    parameter int unsigned PLANES = 3, IMAGE_SIZE = 32, HIGH_DIGITS = 0, LOW_DIGITS = 1, ACC_WIDTH = 18, POOL_WIDTH = 10,
    parameter int unsigned TABLES = 0, POOL2 = 0, MASK = 0, REQUANT_DSP = 1, GATES = 0, DECISIONS = 0, PACK = 0,
    parameter int unsigned EXITS = 0, HIDDEN = 0, FACTORS = 0, INNER = 0, PRODUCTS = 2
) (
    input  wire         ap_clk,
    input  wire         ap_rst_n,
    input  wire  [63:0] s_axis_tdata,
    input  wire         s_axis_tvalid,
    output wire         s_axis_tready,
    output wire  [63:0] m_axis_tdata,
    output wire         m_axis_tvalid,
    input  wire         m_axis_tready,
    input  wire  [31:0] channel_threshold,
    input  wire  [31:0] layer_threshold,
    input  wire         forced,
    input  wire         forced_write,
    input  wire  [7:0]  forced_word,
    input  wire  [31:0] forced_bits,
    input  wire         exits_enable,
    input  wire         exit_write_limit,
    input  wire         exit_write_margin,
    input  wire  [7:0]  exit_mode,
    input  wire  [7:0]  exit_number,
    input  wire  [31:0] exit_value,
    input  wire  [7:0]  layer,
    output wire  [31:0] layer_cycles,
    output wire         network_done,
    output wire  [7:0]  network_error,
    output wire  [7:0]  network_modes
);
    engine_pkg::gate_host_t gate_host;
    assign gate_host = '{
        channel_threshold: channel_threshold, layer_threshold: layer_threshold, forced: forced, forced_write: forced_write,
        forced_word: forced_word, forced_bits: forced_bits
    };
    engine_pkg::exit_host_t exit_host;
    assign exit_host = '{
        enable: exits_enable, write_limit: exit_write_limit, write_margin: exit_write_margin, mode: exit_mode,
        number: exit_number, value: exit_value
    };
    tile_engine #(
        .P(P), .PE(PE), .R(R), .V(V), .X_DEPTH(X_DEPTH), .M_DEPTH(M_DEPTH), .IMAGE_BASE(IMAGE_BASE),
        .WEIGHT_DEPTH(WEIGHT_DEPTH), .REQUANT_DEPTH(REQUANT_DEPTH), .FC_DEPTH(FC_DEPTH), .POOL_DEPTH(POOL_DEPTH),
        .MODES(MODES), .LAYERS(LAYERS), .CLASSES(CLASSES), .MULT_DSP(MULT_DSP),
        .PLANES(PLANES), .IMAGE_SIZE(IMAGE_SIZE), .HIGH_DIGITS(HIGH_DIGITS), .LOW_DIGITS(LOW_DIGITS), .ACC_WIDTH(ACC_WIDTH),
        .POOL_WIDTH(POOL_WIDTH), .TABLES(TABLES != 0), .POOL2(POOL2), .MASK(MASK != 0), .REQUANT_DSP(REQUANT_DSP != 0),
        .GATES(GATES), .DECISIONS(DECISIONS), .PACK(PACK), .HIDDEN(HIDDEN), .FACTORS(FACTORS), .INNER(INNER), .PRODUCTS(PRODUCTS),
        .BIASES(BIASES), .EXITS(EXITS)
    ) engine (
        .clk(ap_clk), .rst_n(ap_rst_n), .gate_host, .exit_host, .network_done, .network_error, .network_modes, .s_axis_tdata, .s_axis_tvalid, .s_axis_tready,
        .m_axis_tdata, .m_axis_tvalid, .m_axis_tready
    );

    logic [31:0] counts[256];
    // States of the sequencer: 0 waits for an image, 1 to 3 fetch a descriptor.
    wire [2:0] state = 3'(engine.sequencer.state);
    wire idle = state == 3'd0;
    wire fetching = state >= 3'd1 && state <= 3'd3;
    logic [7:0] taken;  // layer that runs
    wire [7:0] current = fetching ? 8'(engine.sequencer.index) : taken;
    always_ff @(posedge ap_clk) begin
        if (engine.sequencer.take) taken <= 8'(engine.sequencer.index);
        if (idle) begin
            if (engine.sequencer.image_valid) for (int l = 0; l < 256; l++) counts[l] <= 0;
        end else counts[current] <= counts[current] + 1;
    end
    assign layer_cycles = counts[layer];
endmodule

`default_nettype wire
