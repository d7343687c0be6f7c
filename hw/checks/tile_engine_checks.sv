// Memories are addressed within their contents, and a layer writes its output map and nothing else.
`default_nettype none

module tile_engine_checks
    import engine_pkg::*;
    import gatefold_pkg::*;
#(
    parameter int unsigned PE            = 2,
    parameter int unsigned X_DEPTH       = 64,
    parameter int unsigned M_DEPTH       = 64,
    parameter int unsigned IMAGE_BASE    = 32,
    parameter int unsigned WEIGHT_DEPTH  = 4096,
    parameter int unsigned REQUANT_DEPTH = 512,
    parameter int unsigned POOL2         = 0,
    parameter bit          MASK          = 0
) (
    input wire                                      clk,
    input wire                                      rst_n,
    // Whole records, of which these rules look at a part.
    // verilator lint_off UNUSEDSIGNAL
    input wire descriptor_t                         layer,
    input wire tile_t                               tile,
    // verilator lint_on UNUSEDSIGNAL
    input wire  [7:0]                               source_word,
    input wire  [PE-1:0][$clog2(WEIGHT_DEPTH)-1:0]  weight_addr,
    // Likewise.
    // verilator lint_off UNUSEDSIGNAL
    input wire drain_t                              leads,
    // verilator lint_on UNUSEDSIGNAL
    input wire  [14:0]                              requant_addr,
    input wire                                      image_ready,
    // Likewise.
    // verilator lint_off UNUSEDSIGNAL
    input wire load_t                               load,
    // verilator lint_on UNUSEDSIGNAL
    input wire                                      rest,
    input wire                                      image_valid,
    input wire  [7:0]                               write_addr,
    input wire  [15:0][POOL2 == 0 ? 3 : 7:0]        x_write,
    input wire  [15:0][POOL2 == 0 ? 3 : 7:0]        m_write
);
    logic on;
    after_reset contracts (.clk, .rst_n, .on);

    for (genvar p = 0; p < PE; p++) begin : port
        always_ff @(posedge clk) if (on && tile.valid && (p == 0 || tile.pair))
            weights: assert (32'(weight_addr[p]) < WEIGHT_DEPTH)
                else $fatal(1, "kernel %0d of %0d is read", weight_addr[p], WEIGHT_DEPTH);
    end

    always_ff @(posedge clk) if (on && leads.valid)
        requants: assert (32'(requant_addr) < REQUANT_DEPTH)
            else $fatal(1, "requantisation entry %0d of %0d is read", requant_addr, REQUANT_DEPTH);

    always_ff @(posedge clk) if (on && tile.valid)
        source: assert (source_word >= layer.src_base && 32'(source_word) < (layer.src ? M_DEPTH : X_DEPTH))
            else $fatal(1, "word %0d of the source is read, outside its memory", source_word);

    // A write stands in registers: it was made in the cycle before. The next layer may have come since then.
    // verilator lint_off UNUSEDSIGNAL
    descriptor_t written;
    // verilator lint_on UNUSEDSIGNAL
    logic write_image;
    always_ff @(posedge clk) begin
        written <= layer;
        write_image <= image_ready;
    end

    // Words of the layer's output map in every bank.
    logic [31:0] target_words;
    always_comb
        case (written.size - 2'(written.pool2 != POOL_NONE && written.size != SIZE_8))
            SIZE_8: target_words = (32'(written.out_count) + 1) / 2;
            SIZE_16: target_words = 32'(written.out_count);
            default: target_words = 2 * 32'(written.out_count);
        endcase

    always_ff @(posedge clk) if (on && {x_write, m_write} != '0) begin
        one: assert (x_write == '0 || m_write == '0) else $fatal(1, "both feature memories are written");
        if (write_image) image: assert (x_write == '0 && 32'(write_addr) >= IMAGE_BASE && 32'(write_addr) < M_DEPTH)
            else $fatal(1, "word %0d is written, outside the images", write_addr);
        else begin
            chosen: assert (written.dst == (m_write != '0)) else $fatal(1, "the memory that is no layer's output is written");
            target: assert (write_addr >= written.dst_base && 32'(write_addr) < 32'(written.dst_base) + target_words)
                else $fatal(1, "word %0d is written, outside the layer's output map", write_addr);
            memory: assert (32'(write_addr) < (written.dst ? IMAGE_BASE : X_DEPTH))
                else $fatal(1, "word %0d is written, outside its memory or over an image", write_addr);
        end
    end

    // Memories are written while nothing reads them.
    always_ff @(posedge clk) if (on && load.write != '0)
        still: assert (rest && !image_valid) else $fatal(1, "a network image is written while a frame is computed");

    // What a layer asks for is there.
    always_ff @(posedge clk) if (on && tile.valid) begin
        pools: assert (layer.pool2 == POOL_NONE || (layer.pool2 == POOL_MAX && POOL2 % 2 == 1)
                       || (layer.pool2 == POOL_SUM && POOL2 / 2 == 1))
            else $fatal(1, "a layer has pool %0d, which this engine lacks", layer.pool2);
        residuals: assert (layer.pool2 == POOL_NONE || !layer.residual || layer.discard)
            else $fatal(1, "a layer adds and pools, and its two maps have one address");
        valid: assert (MASK || (layer.rows == '0 && layer.columns == '0 && !layer.keep))
            else $fatal(1, "a layer has %0d valid rows, and this engine no mask", layer.rows);
    end
endmodule

bind tile_engine tile_engine_checks #(
    .PE(PE), .X_DEPTH(X_DEPTH), .M_DEPTH(M_DEPTH), .IMAGE_BASE(IMAGE_BASE), .WEIGHT_DEPTH(WEIGHT_DEPTH),
    .REQUANT_DEPTH(REQUANT_DEPTH), .POOL2(POOL2), .MASK(MASK)
) checks (.*);

`default_nettype wire
