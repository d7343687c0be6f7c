// An image is written only into a buffer that no frame waits in or is read from.
`default_nettype none

module engine_loader_checks #(
    parameter int unsigned PLANES     = 3,
    parameter int unsigned SIZE       = 32,
    parameter int unsigned IMAGE_BASE = 32
) (
    input wire        clk,
    input wire        rst_n,
    input wire        write,
    input wire  [7:0] addr,
    input wire  [1:0] count,
    input wire        drain,
    input wire        release_buffer
);
    logic on;
    after_reset contracts (.clk, .rst_n, .on);

    localparam int unsigned WORDS = PLANES * SIZE / 8;
    logic target;
    assign target = 32'(addr) >= IMAGE_BASE + WORDS;

    always_ff @(posedge clk) if (on && write) begin
        place: assert (32'(addr) >= IMAGE_BASE && 32'(addr) < IMAGE_BASE + 2 * WORDS)
            else $fatal(1, "an image word goes to word %0d, outside the image buffers", addr);
        unread: assert (count == 2'd0 || (count == 2'd1 && target != drain))
            else $fatal(1, "an image is written over one that is still to be read");
    end

    always_ff @(posedge clk) if (on)
        frames: assert (count <= 2'd2 && !(release_buffer && count == 2'd0))
            else $fatal(1, "the image buffers hold %0d frames", count);
endmodule

bind engine_loader engine_loader_checks #(.PLANES(PLANES), .SIZE(SIZE), .IMAGE_BASE(IMAGE_BASE)) checks (.*);

`default_nettype wire
