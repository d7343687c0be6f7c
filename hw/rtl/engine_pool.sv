// Global sum pooling on the write-back path: the sum of all pixels of a channel, kept for the vector unit.
//
// Sums lie V to a word so that the vector unit reads V inputs at once: channel c is element c mod V of word c / V.
// A channel that comes in several words or blocks is added up; `first` starts it anew. Maps whose sums are kept beside each other have
// bases of their own.
`default_nettype none

module engine_pool
#(
    parameter int unsigned R     = 64,
    parameter int unsigned V     = 16,
    parameter int unsigned DEPTH = 4,  /// words of V sums
    parameter int unsigned POOL_WIDTH = 10  /// bits of a sum: 10, 12, 14 for maps of 8, 16, 32 pixels
) (
    input  wire                             clk,
    input  wire                             valid,
    input  wire                             first,
    input  wire  [8:0]                      channel,
    // As wide as a descriptor's; the memory has DEPTH words.
    // verilator lint_off UNUSEDSIGNAL
    input  wire  [6:0]                      base,     /// word of channel 0
    // verilator lint_on UNUSEDSIGNAL
    input  wire  [R-1:0][3:0]               pixels,
    input  wire                             fourfold, /// every pixel stands there four times
    input  wire  [$clog2(DEPTH)-1:0]        raddr,
    output logic [V-1:0][POOL_WIDTH-1:0]    rdata    /// one cycle after raddr
);
    localparam int unsigned AW = $clog2(DEPTH), LV = $clog2(V);
    localparam int unsigned EIGHTS = R / 8;
    // Sums of eight pixels, their sum, and the memory: three cycles.
    logic [EIGHTS-1:0][6:0] eight, eight_q;
    logic [POOL_WIDTH-1:0]  sum;
    logic [9:0]             total;
    logic                   eight_valid, eight_first, eight_fourfold, sum_valid, sum_first;
    logic [8:0]             eight_channel;
    logic [LV-1:0]          sum_element;
    always_comb begin
        eight = '0;
        total = '0;
        for (int unsigned r = 0; r < R; r++) eight[r/8] = eight[r/8] + 7'(pixels[r]);
        for (int unsigned e = 0; e < EIGHTS; e++) total += 10'(eight_q[e]);
    end
    always_ff @(posedge clk) begin
        eight_q <= eight;
        eight_valid <= valid;
        eight_first <= first;
        eight_fourfold <= fourfold;
        eight_channel <= channel;
        sum <= POOL_WIDTH'(eight_fourfold ? {2'b00, total[9:2]} : total);
        sum_valid <= eight_valid;
        sum_first <= eight_first;
        sum_element <= eight_channel[LV-1:0];
    end
    logic [AW-1:0] eight_base, waddr;  // the base goes with the pixels: another layer's may follow
    always_ff @(posedge clk) begin
        eight_base <= AW'(base);
        waddr <= eight_base + AW'(eight_channel >> LV);
    end
    for (genvar v = 0; v < V; v++) begin : element
        (* ram_style = "distributed" *) logic [POOL_WIDTH-1:0] mem[DEPTH];
        wire [POOL_WIDTH-1:0] stored = mem[waddr];
        always_ff @(posedge clk) begin
            if (sum_valid && sum_element == LV'(v)) mem[waddr] <= (sum_first ? '0 : stored) + sum;
            rdata[v] <= mem[raddr];
        end
    end
endmodule

`default_nettype wire
