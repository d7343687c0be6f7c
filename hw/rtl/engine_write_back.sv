// Where R requantised pixels of one channel go, and where their residual comes from.
//
// The words of an arriving image take the same way into M, in cycles in which no pixels come.
//
// A word is R/8 segments of eight pixels, consecutive in lane order. In an 8-wide block segment s is row s; in a
// 16x4 block segments 4..7 are the right halves of rows 0..3. Rows lie in bank (row mod 16), rows of 8-row maps eight
// banks higher for odd channels. With PACK, rows of eight pixels are written twice beside each other.
//
// Behind a 2x2 pool the map is half as large, but not below 8, and so is what a word writes: half segments, of every second
// row. Where the map keeps its 8 rows, the first word of a channel also writes zeros over what it does not fill.
//
// Counted from the cycle after `drain`: the residual's address is out at once, its rows come two cycles later,
// `residual` three; `segment` is expected DELAY cycles later and written in the next one.
`default_nettype none

module engine_write_back
    import engine_pkg::*;
#(
    parameter int unsigned P = 64,
    parameter int unsigned R = 64,
    parameter int unsigned DELAY = 4,  /// at least 4
    parameter bit          POOL  = 0,  /// with 2x2 pools: writes half chunks
    parameter bit          PACK  = 0,  /// for `engine_align` with `packed`
    localparam int unsigned U = R / 8,  // segments per word
    localparam int unsigned HALVES = POOL ? 2 : 1
) (
    input  wire                       clk,
    input  wire                       rst_n,
    input  wire  drain_t              drain,     /// one cycle before everything else
    input  wire                       to_m,      /// writes go to M, else to X
    input  wire                       discard,   /// write nothing (the pixels are only pooled)
    input  wire  [1:0]                size,      /// of the map before a pool
    input  wire                       pooled,    /// 2x2 pool
    input  wire                       side,      /// 16x4 block
    input  wire  [2:0]                shuffle,   /// log2(channels / 16), 0: none
    input  wire  [7:0]                base,      /// word base of the output map
    output logic [7:0]                raddr,
    input  wire  [15:0][127:0]        rows,
    output logic [U-1:0][31:0]        residual,  /// 8-wide blocks only
    input  wire  [U-1:0][31:0]        segment,   /// pixels to write
    input  wire                       image_write,
    output wire                       image_ready,  /// the image word is taken in this cycle
    input  wire  [3:0]                image_bank,
    input  wire  [7:0]                image_addr,
    input  wire  [127:0]              image_data,
    output logic [7:0]                waddr,
    output logic [15:0][4*HALVES-1:0] x_we,
    output logic [15:0][4*HALVES-1:0] m_we,
    output logic [15:0][127:0]        wdata
);
    localparam int unsigned HEIGHT = P / 8;  // rows of an 8-wide block
    localparam int unsigned LU = $clog2(U);

    typedef struct packed {
        logic       valid;
        logic [3:0] word;
        logic [7:0] addr;
        logic [3:0] top;    // bank of the block's first row
        logic [1:0] chunk;
        logic       half;
        logic       clear;  // zeros in all of the eight rows that the word does not fill
    } place_t;

    // The channel before the shuffle is looked at there alone.
    // verilator lint_off UNUSEDSIGNAL
    drain_t     word;
    // verilator lint_on UNUSEDSIGNAL
    wire        pool = POOL && pooled;
    // Of the layer, which stands long before its first pixels come.
    logic       pool_q, side_q;
    logic       kept;  // a pool that keeps the map's 8 rows
    logic [1:0] out_size;
    logic [8:0] low_mask;
    always_ff @(posedge clk) begin
        pool_q <= pool;
        side_q <= side;
        kept <= pool && size == SIZE_8;
        out_size <= (pool && size != SIZE_8) ? size - 2'd1 : size;
        low_mask <= (9'd1 << shuffle) - 9'd1;
    end
    wire [4:0] y = pool ? {1'b0, word.y[4:1]} : word.y;
    // A block begins at a multiple of 8 columns, 4 behind a pool.
    // verilator lint_off UNUSEDSIGNAL
    wire [4:0] x = pool ? {1'b0, word.x[4:1]} : word.x;
    // verilator lint_on UNUSEDSIGNAL

    // The shuffle turns channel a*n+b into b*16+a, n = channels / 16 = 2^shuffle.
    logic [8:0] channel;
    always_ff @(posedge clk) begin
        word <= drain;
        channel <= (shuffle == 3'd0) ? drain.out : ((drain.out & low_mask) << 4) | (drain.out >> shuffle);
    end

    place_t [DELAY:0] places;
    place_t place;
    // What reads the residual's rows, and what writes, looks at less than what chooses the places.
    // verilator lint_off UNUSEDSIGNAL
    place_t with_rows, ahead, written;
    // verilator lint_on UNUSEDSIGNAL
    assign with_rows = places[2];
    assign ahead = places[DELAY-1];
    assign written = places[DELAY];
    always_comb begin
        place.valid = rst_n && word.valid && !discard;
        place.word = word.word;
        place.top = y[3:0] + ((out_size == SIZE_8 && channel[0]) ? 4'd8 : 4'd0);
        place.chunk = x[4:3];
        place.half = x[2];
        place.clear = kept && word.word == '0 && word.y == '0;
        case (out_size)
            SIZE_8: place.addr = base + 8'(channel >> 1);
            SIZE_16: place.addr = base + 8'(channel);
            default: place.addr = base + {channel[6:0], y[4]};
        endcase
        raddr = place.addr;
    end
    assign places[0] = place;
    for (genvar d = 1; d <= DELAY; d++) begin : later
        always_ff @(posedge clk) begin
            places[d] <= places[d-1];
            if (!rst_n) places[d].valid <= 1'b0;
        end
    end

    for (genvar u = 0; u < U; u++) begin : residual_segment
        wire [3:0] below = with_rows.word * 4'(U);
        wire [3:0] bank = (((with_rows.top + below) >> LU) << LU) | 4'(u);
        wire [127:0] row = rows[bank];
        always_ff @(posedge clk) residual[u] <= row[32*with_rows.chunk+:32];
    end

    assign image_ready = !written.valid;
    always_ff @(posedge clk) waddr <= image_ready ? image_addr : written.addr;
    localparam int unsigned POOLED_ROWS = (R < 16) ? 1 : R / 16, POOLED_HEIGHT = HEIGHT / 2;  // of a word, of an 8-wide block
    // What a word fills and clears stands in registers when it comes.
    for (genvar b = 0; b < 16; b++) begin : bank
        // Rows of a pooled block in this bank: of an 8-wide one, and of the lower and upper half of a 16x4 one.
        localparam int unsigned POOLED = b % POOLED_HEIGHT, LOWER = b % 2, UPPER = 2 + b % 2;
        wire in_pooled = (POOLED_HEIGHT == 4 && !side_q) ? ahead.top[3:2] == 2'(b / 4) : ahead.top[3:1] == 3'(b / 2);
        wire in_eight = ahead.top[3] == 1'(b / 8);
        // For pools alone.
        // verilator lint_off UNUSEDSIGNAL
        wire [1:0] half_word;  // the word has pixels for the lower, the upper half of a segment
        // verilator lint_on UNUSEDSIGNAL
        assign half_word[0] = in_pooled && ahead.word == 4'((side_q ? LOWER : POOLED) / POOLED_ROWS);
        assign half_word[1] = in_pooled && ahead.word == 4'((side_q ? UPPER : POOLED) / POOLED_ROWS);
        for (genvar c = 0; c < 4; c++) begin : chunk
            // In a 16x4 block, chunk c holds segments 4c..4c+3.
            localparam int unsigned BELOW = b % HEIGHT, BESIDE = (4 * c + b % 4) % HEIGHT;
            wire in_rows = (HEIGHT == 8 && !side_q) ? ahead.top[3] == 1'(b / 8) : ahead.top[3:2] == 2'(b / 4);
            wire in_word = ahead.word == (side_q ? 4'(BESIDE / U) : 4'(BELOW / U));
            wire in_chunk = (side_q && !pool_q) ? c < 2 : ahead.chunk == 2'(c) || (PACK && c == 1 && out_size == SIZE_8);
            wire [31:0] pixels = (side_q && !pool_q && c < 2) ? segment[BESIDE%U] : segment[BELOW%U];
            for (genvar h = 0; h < HALVES; h++) begin : half
                localparam int unsigned BITS = 32 / HALVES;
                wire fills = in_chunk && (!pool_q ? in_rows && in_word : half_word[h] && (side_q || ahead.half == 1'(h)));
                wire clears = POOL && ahead.clear && in_eight && in_chunk;
                logic pixels_in, zeros;
                wire image_in = image_ready && image_write && image_bank == 4'(b);
                always_ff @(posedge clk) begin
                    pixels_in <= rst_n && ahead.valid && (fills || clears);
                    zeros <= ahead.valid && clears && !fills;
                    x_we[b][HALVES*c+h] <= rst_n && pixels_in && !to_m;
                    m_we[b][HALVES*c+h] <= rst_n && (image_in || (pixels_in && to_m));
                    if (zeros) wdata[b][32*c+BITS*h+:BITS] <= '0;
                    else wdata[b][32*c+BITS*h+:BITS] <= image_ready ? image_data[32*c+BITS*h+:BITS] : pixels[BITS*h+:BITS];
                end
            end
        end
    end

    if (POOL && R < 16) begin : bad_r
        $error("engine_write_back: pools take R of 16, 32 or 64");
    end
endmodule

`default_nettype wire
